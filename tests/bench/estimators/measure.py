"""One cell: the data of a setting, credits by one method, and how far they are from the truth."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from tasks.shapley import UnidentifiedError, estimate_credits, propose_coalitions
from tests.bench.estimators.problem import evaluator, game_of
from tests.bench.estimators.settings import Method, Setting
from tests.games import Coalitions, Floats

Result = dict[str, Any]
LEVELS = (0.9, 0.95)


@lru_cache(maxsize=128)
def design_rows(design: str, n_players: int, budget: int, seed: int) -> Coalitions:
    """Rows of a design; shared by the games and the noise of a repetition."""
    return propose_coalitions(n_players, budget, seed=seed, design=design)


def relative_error(excess: Floats, truth: Floats) -> float:
    """‖ê - e‖² / ‖e‖² of excess credits."""
    return float(((excess - truth) ** 2).sum() / (truth**2).sum())


def rank_agreement(excess: Floats, truth: Floats) -> float | None:
    """Spearman's correlation; None where all credits are alike, and there is no order."""
    return float(spearmanr(excess, truth).statistic) if np.ptp(excess) > 0 else None


def measure(setting: Setting, method: Method) -> Result:
    """Scores of one of our methods; {"unidentified": why} where the estimator says that the rows are too few."""
    n, seed = setting.n_players, setting.repeat
    game, _ = game_of(setting.game, n, seed, setting.spread)
    words = (setting.noise_kind, setting.empty, setting.spread)
    value = evaluator(setting.game, n, seed, setting.noise, *words)
    rows = design_rows(method.design, n, setting.budget, seed)
    values = value(rows)
    started = time.perf_counter()
    try:
        credits = estimate_credits(rows, values, sizes=game.sizes, estimator=method.estimator)
    except UnidentifiedError as error:
        return {"unidentified": str(error)}
    result: Result = {
        "seconds": time.perf_counter() - started,
        "error": relative_error(credits.excess, game.excess),
        "spearman": rank_agreement(credits.excess, game.excess),
        "evaluations": len(rows),
    }
    for level in LEVELS:
        low, high = credits.excess_interval(level)
        known = bool(np.isfinite(low).all() and np.isfinite(high).all())
        covered = (low <= game.excess) & (game.excess <= high)
        result[f"coverage_{level:.0%}"] = float(covered.mean()) if known else None
        result[f"width_{level:.0%}"] = float((high - low).mean() / game.excess.std()) if known else None
    return result
