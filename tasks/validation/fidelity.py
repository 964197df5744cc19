"""Fidelity: does a coalition that was fine-tuned tell what the coalition retrained from scratch would have told?

Within one size and across sizes are two questions. Across sizes nearly any cheap realisation agrees, for everybody's
value rises with the number of images; credits are differences at equal size, so the first is the one to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.shapley.validate import check_coalitions, check_values

from .correlation import (
    RESAMPLES,
    Correlation,
    paired,
    pearson,
    resampled_rows,
    rows_correlation,
    spearman,
    why_none,
    with_percentiles,
)


@dataclass(frozen=True)
class Agreement:
    """Of v(S) realised in two ways, over the same coalitions."""

    pearson: Correlation
    spearman: Correlation


@dataclass(frozen=True)
class Fidelity:
    """across: over all coalitions. by_size: within each size that occurs, in rising order."""

    across: Agreement
    by_size: dict[int, Agreement]


def agreement(
    one: ArrayLike, other: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Agreement:
    """Pearson and Spearman of float[m] and float[m], row by row of the same coalition."""
    return Agreement(
        pearson(one, other, level=level), spearman(one, other, seed=seed, level=level, resamples=resamples)
    )


def slope(
    one: ArrayLike, other: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Correlation:
    """How large differences are in `one`, of those in `other`: slope of the one on the other by least squares, float[m]
    each. The interval is the percentile bootstrap over coalitions. ValueError for what is not finite."""
    first, second = paired(one, other)
    reason = why_none(first, second)
    if reason:
        return Correlation(None, None, None, len(first), reason)
    rows = resampled_rows(len(first), resamples, seed)
    return with_percentiles(float(_slopes(first, second)), _slopes(first[rows], second[rows]), len(first), level)


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of x on y along the last axis: float64[..., m] twice to float64[...], NaN where either is constant."""
    spread = y.std(axis=-1)
    return rows_correlation(x, y) * x.std(axis=-1) / np.where(spread == 0, np.nan, spread)


def pearson_difference(
    one: ArrayLike, other: ArrayLike, truth: ArrayLike, *, seed: int, level: float = 0.95, resamples: int = RESAMPLES
) -> Correlation:
    """Pearson of `one` with the truth less that of `other`, all float[m] of the same coalitions: in [-2, 2].

    The interval is the percentile bootstrap over coalitions, the same drawn for both: what is hard to tell for one way is
    mostly hard for the other too, so it is narrower than two intervals side by side. ValueError for what is not finite.
    """
    first, values = paired(one, truth)
    second, _ = paired(other, truth)
    reason = why_none(first, values) or why_none(second, values)
    if reason:
        return Correlation(None, None, None, len(values), reason)
    rows = resampled_rows(len(values), resamples, seed)
    value = float(rows_correlation(first, values) - rows_correlation(second, values))
    drawn = rows_correlation(first[rows], values[rows]) - rows_correlation(second[rows], values[rows])
    return with_percentiles(value, drawn, len(values), level)


def fidelity(
    coalitions: ArrayLike,
    fine_tuned: ArrayLike,
    retrained: ArrayLike,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Fidelity:
    """Agreement of fine-tuned with retrained values, both float[m], of coalitions bool[m, n].

    Sizes with too few coalitions are there too, with the reason. The seed is of the bootstrap behind Spearman's intervals.
    """
    rows = check_coalitions(coalitions)
    one, other = check_values(fine_tuned, len(rows)), check_values(retrained, len(rows))
    size = rows.sum(axis=1)

    def judged(chosen: np.ndarray) -> Agreement:
        return agreement(one[chosen], other[chosen], seed=seed, level=level, resamples=resamples)

    return Fidelity(judged(size >= 0), {int(s): judged(size == s) for s in np.unique(size)})
