"""Three join: how many new evaluations until credits are as good as those of a fresh start?

The archive holds 10 (n - 3) evaluations of the default design on the earlier players, in whose rows the joiners are
absent. A fresh start is the Gaussian process on 10 n evaluations of the default design over everybody. The increment is
bought in batches of `a_optimal`, each proposed from all evaluations so far, and estimated by the Gaussian process. v(∅)
lies on its curve, which matters to the paper's estimator alone; that one is there to compare with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.shapley import estimate_credits, propose_coalitions
from tests.bench.estimators.measure import relative_error
from tests.bench.estimators.problem import evaluator, game_of
from tests.bench.estimators.settings import JoinSetting

EVALUATIONS = 10  # a player, in the archive and in the fresh start
BATCHES = (4, 8, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100)  # new evaluations in all after each batch, at n = 20


def measure_join(setting: JoinSetting) -> dict[str, Any]:
    """{"fresh": relative error of the fresh start, "paper": of KernelSHAP on its own 10 n evaluations, "new": [numbers
    of new evaluations], "errors": [relative error at each], "fresh_evaluations": 10 n}."""
    n, seed = setting.n_players, setting.repeat
    game, _ = game_of(setting.game, n, seed, setting.spread)
    value = evaluator(setting.game, n, seed, setting.noise, "iid", "curve", setting.spread)

    def error(rows: np.ndarray, estimator: str) -> float:
        credits = estimate_credits(rows, value(rows), sizes=game.sizes, estimator=estimator)
        return relative_error(credits.excess, game.excess)

    budget = EVALUATIONS * n
    fresh = propose_coalitions(n, budget, seed=seed, design="default")
    paper = propose_coalitions(n, budget, seed=seed, design="kernelshap")
    earlier = n - setting.joiners
    before = propose_coalitions(earlier, EVALUATIONS * earlier, seed=seed + 1, design="default")
    rows = np.zeros((len(before), n), dtype=bool)
    stayed = np.random.default_rng([seed, n]).permutation(n)[:earlier]
    rows[:, np.sort(stayed)] = before

    new: list[int] = []
    errors: list[float] = []
    for target in (max(2, round(count * n / 20)) for count in BATCHES):
        count = target - (new[-1] if new else 0)
        batch = propose_coalitions(
            n, count, seed=seed + target, sizes=game.sizes, known=(rows, value(rows)), design="a_optimal"
        )
        rows = np.concatenate([rows, batch])
        new.append((new[-1] if new else 0) + len(batch))
        errors.append(error(rows, "gp"))
    return {
        "fresh": error(fresh, "gp"),
        "paper": error(paper, "kernelshap"),
        "fresh_evaluations": len(fresh),
        "new": new,
        "errors": errors,
    }
