"""Credits held against exact ones: where few enough contributors take part, every coalition can be retrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tasks.shapley.definition import definition, is_complete
from tasks.shapley.one_thread import one_thread
from tasks.shapley.validate import check_evaluations

from .checks import Floats, check_credits
from .correlation import pearson, spearman


@dataclass(frozen=True)
class Method:
    """credits: float[n]. low, high: float[n], its intervals, for the same credits; None where it has none.

    in_unit: whether credits are in the property's unit, so that errors can be told; ranks and correlations always can.
    """

    credits: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    in_unit: bool = True


@one_thread()
def exact_credits(coalitions: ArrayLike, values: ArrayLike) -> Floats:
    """Shapley values float64[n] by the definition from all 2^n coalitions bool[m, n], repeats averaged.

    ValueError where coalitions are missing; it says how many.
    """
    evaluations = check_evaluations(coalitions, values, None)
    if not is_complete(evaluations):
        there, n = len(np.unique(evaluations.coalitions, axis=0)), evaluations.n_players
        raise ValueError(
            f"exact credits of {n} contributors need all {2**n} coalitions; {2**n - there} of them were not evaluated"
        )
    return definition(evaluations, None).values


def compare_with_exact(
    exact: ArrayLike, methods: Mapping[str, Method], *, seed: int, level: float = 0.95
) -> pd.DataFrame:
    """How far each method is from exact credits float[n]: one row a method, in the given order.

    Columns: pearson, spearman (None with fewer than four contributors, or where credits are all equal); error, mean
    absolute error of excess credits (above an equal share, so that v(∅), from another family of models or none at all,
    moves nothing) over the s.d. of exact credits, None for methods in another unit; covered, share of contributors whose
    interval holds the exact credit, None without intervals; reason, why something is None.
    Intervals are read as they are, v(∅) and all: give those of excess credits with excess exact credits where the two
    do not share v(∅). level, seed: of the correlations' intervals, columns pearson_low … spearman_high.
    """
    truth = np.asarray(exact, dtype=np.float64)
    truth = check_credits(truth, truth.size, "exact credits")
    spread = float(truth.std())
    rows = []
    for name, method in methods.items():
        found = check_credits(method.credits, len(truth), f"credits of {name}")
        linear, rank = pearson(truth, found, level=level), spearman(truth, found, seed=seed, level=level)
        reasons = [linear.reason]
        error = None
        if not method.in_unit:
            reasons.append("credits are not in the property's unit")
        elif spread <= 0:
            reasons.append("exact credits are all equal")
        else:
            error = float(np.abs((found - found.mean()) - (truth - truth.mean())).mean() / spread)
        rows.append(
            {
                "method": name,
                "pearson": linear.value,
                "pearson_low": linear.low,
                "pearson_high": linear.high,
                "spearman": rank.value,
                "spearman_low": rank.low,
                "spearman_high": rank.high,
                "error": error,
                "covered": _covered(truth, method, name),
                "reason": "; ".join(reason for reason in reasons if reason),
            }
        )
    return pd.DataFrame(rows, dtype=object)  # None stays None


def _covered(truth: Floats, method: Method, name: str) -> float | None:
    if method.low is None and method.high is None:
        return None
    if method.low is None or method.high is None:
        raise ValueError(f"intervals of {name} need both ends")
    low, high = np.asarray(method.low, dtype=np.float64), np.asarray(method.high, dtype=np.float64)
    if low.shape != truth.shape or high.shape != truth.shape or not (low <= high).all():
        raise ValueError(f"intervals of {name} must be {len(truth)} pairs of low <= high")
    return float(((low <= truth) & (truth <= high)).mean())
