"""Which coalitions to evaluate: designs, and the rules that hold for all of them.

A design never sees a model; it proposes rows, the plan prices them. `budget` counts rows that the ledger lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .a_optimal import pick_coalitions
from .kernel import size_masses
from .noise import MeasuredNoise
from .one_thread import one_thread
from .paired_design import propose_pairs
from .validate import (
    Coalitions,
    Evaluations,
    Floats,
    check_coalitions,
    check_former,
    check_players,
    check_sizes,
    check_values,
)

FEWEST_KNOWN = 2  # coalitions a player with which the process's idea of the game is worth choosing by


@dataclass(frozen=True)
class Asked:
    """What a design is given. known: all that was evaluated, in which neither ∅ nor N need be."""

    budget: int
    rng: np.random.Generator
    known: Evaluations
    noise: MeasuredNoise | None

    @property
    def n_players(self) -> int:
        return self.known.n_players

    @property
    def rows(self) -> Coalitions:
        """Known coalitions of the present players, each once: bool[m, n_players]."""
        return np.unique(self.known.own().coalitions, axis=0)


Design = Callable[[Asked], Coalitions]  # bool[k, n_players]: columns of present players only


def draw_kernelshap(asked: Asked) -> Coalitions:
    """The paper's draw: ∅ and N, then sizes iid from the Shapley kernel and uniform subsets of that size.

    Rows may repeat, and may be known already: an iid sample must not avoid them. Every row counts against the budget,
    a repeat just costs nothing to evaluate. A longer draw with the same seed starts with the shorter one.
    Source: Lin et al. 2025, section 3; Covert & Lee 2021.
    """
    n = asked.n_players
    rows = missing_ends(n, asked.rows)[: asked.budget]
    masses = size_masses(n)
    draws = np.zeros((asked.budget - len(rows), n), dtype=bool)
    for row in draws:
        size = asked.rng.choice(n + 1, p=masses)
        row[asked.rng.permutation(n)[:size]] = True
    return np.concatenate([rows, draws])


def draw_pairs(asked: Asked) -> Coalitions:
    """The default: complementary pairs, stratified and balanced, without replacement (see `paired_design`)."""
    rows = missing_ends(asked.n_players, asked.rows)[: asked.budget]
    inside = asked.rows[asked.rows.any(axis=1) & ~asked.rows.all(axis=1)]
    return np.concatenate([rows, propose_pairs(asked.n_players, asked.budget - len(rows), asked.rng, inside)])


def draw_a_optimal(asked: Asked) -> Coalitions:
    """Batch picks under the Gaussian process (see `a_optimal`); the default design where too little is known for it."""
    some = asked.known.coalitions.any(axis=1)
    known = asked.known.coalitions[some]
    if len(np.unique(known, axis=0)) < FEWEST_KNOWN * asked.n_players or np.ptp(asked.known.values[some]) == 0:
        return draw_pairs(asked)
    rows = missing_ends(asked.n_players, asked.rows)[: asked.budget]
    picked = pick_coalitions(asked.known, asked.budget - len(rows), asked.rng, asked.noise)
    return np.concatenate([rows, picked])


DESIGNS: dict[str, Design] = {"default": draw_pairs, "a_optimal": draw_a_optimal, "kernelshap": draw_kernelshap}


def missing_ends(n_players: int, known: Coalitions) -> Coalitions:
    """The grand and the empty coalition, as far as they are not known: no estimator can do without them."""
    ends = np.stack([np.ones(n_players, dtype=bool), np.zeros(n_players, dtype=bool)])
    return ends[[not bool((known == end).all(axis=1).any()) for end in ends]]


@one_thread()
def propose_coalitions(
    n_players: int,
    budget: int,
    *,
    seed: int,
    sizes: ArrayLike | None = None,
    known: tuple[ArrayLike, ArrayLike] | None = None,
    design: str = "default",
    former: ArrayLike | None = None,
    noise: MeasuredNoise | None = None,
) -> Coalitions:
    """Coalitions to evaluate next: bool[k, n_players] with k <= budget.

    n_players: columns, former players among them. budget: new evaluations, the grand and the empty coalition (always
    first) among them unless they are known. seed: of the draw; the same arguments give the same rows.
    sizes: float[n_players] > 0, images of each contributor; the prior of `a_optimal`, otherwise only checked.
    known: (bool[m, n_players], float[m]), what the ledger holds. `default` proposes none of it again, completes pairs
        of which it holds one half, and counts it when sizes are balanced.
    design: `default`; `a_optimal`, what tells most about the credits given `known`, for increments; or `kernelshap`: the
        paper's iid draw, whose rows may repeat and may be known.
    former: bool[n_players], True for a player who left: in no proposed row. noise: as for `estimate_credits`.

    `default` and `a_optimal` return min(budget, what is missing of 2^n) rows, so all the missing ones where the budget
    allows; `default` in complementary pairs after the ends. `a_optimal` needs values to learn from: with fewer known
    coalitions than two a player it draws by the default design. Raises ValueError for bad shapes, a negative budget, an
    unknown design.
    """
    columns = check_players(n_players)
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 0:
        raise ValueError(f"budget must be a whole number of evaluations, not {budget!r}")
    checked = check_sizes(sizes, columns)
    if design not in DESIGNS:
        raise ValueError(f"unknown design {design!r}; there are: {', '.join(DESIGNS)}")
    present = check_former(former, columns)
    rows, values = _known(columns, known)
    asked = Asked(int(budget), np.random.default_rng(seed), Evaluations(rows, values, checked, present), noise)
    proposed = DESIGNS[design](asked)
    whole = np.zeros((len(proposed), columns), dtype=bool)
    whole[:, present] = proposed
    return whole


def _known(columns: int, known: Any) -> tuple[Coalitions, Floats]:
    if known is None:
        return np.zeros((0, columns), dtype=bool), np.zeros(0)
    rows = check_coalitions(known[0], columns)
    return rows, check_values(known[1], len(rows))
