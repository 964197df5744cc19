"""Fidelity: does a coalition that was fine-tuned tell what the coalition retrained from scratch would have told?

Within one size and across sizes are two questions. Across sizes nearly any cheap realisation agrees, for everybody's
value rises with the number of images; credits are differences at equal size, so the first is the one to look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tasks.shapley.validate import check_coalitions, check_values

from .correlation import RESAMPLES, Correlation, pearson, spearman


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
