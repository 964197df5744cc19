"""What tests of all estimators share: their names, and how exactly their answers can be repeated.

Whoever registers an estimator in tasks.shapley.estimators has it tested here.
"""

import numpy as np

from tasks.estimator_facts import ESTIMATOR_FACTS
from tasks.shapley import propose_coalitions
from tasks.shapley.estimators import ESTIMATORS

NAMES = sorted({"default", *ESTIMATORS})
ANY_ROWS = [name for name in NAMES if ESTIMATOR_FACTS[name].any_rows]
OWN_ROWS_ONLY = [name for name in NAMES if not ESTIMATOR_FACTS[name].any_rows]
EVERY_DRAW = [name for name in NAMES if ESTIMATOR_FACTS[name].every_draw]
# The paper's estimator subtracts v(∅) from every row; nothing else may be moved by it.
FREE_OF_BASELINE = [name for name in NAMES if name != "kernelshap"]
# Hyper-parameters found by iteration stop within this share of the credits' spread of each other, whatever the rounding.
LOOSE = 1e-3
TIGHT = 1e-8


def tolerance(name: str) -> float:
    return LOOSE if name in ANY_ROWS else TIGHT


def design(n_players: int, budget: int, seed: int = 0):
    """Paired rows, never all of them (a complete table would be answered by the definition)."""
    return propose_coalitions(n_players, min(budget, 2**n_players - 2), seed=seed)


def wavy(rows, seed: int):
    """Values of a game with credits of all kinds, interactions and a curve; any number of players."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(rows.shape[1], 3))
    hidden = rows @ weights
    return np.tanh(hidden[:, 0] / 2) + 0.3 * hidden[:, 1] + 0.1 * np.sin(hidden[:, 2]) + np.log1p(rows.sum(axis=1))
