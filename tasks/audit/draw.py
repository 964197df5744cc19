"""Which coalitions an audit looks at.

The Shapley value gives every size of a coalition of the others the same weight:

    φ_i = 1/n Σ_s E[v(S ∪ i) − v(S) | |S| = s],    s = 0 … n−1

so every size gets the same weight here too, however few coalitions there are:

    size        0        1   2   3  …  n−1
    coalitions  always   one each of some sizes, evenly spaced from a random start    fewer pairs than sizes
                always   as even as it goes; small strata fill up                     more
    all of them                                                                       pairs ≥ 2^(n−1)

The empty coalition is always among them. An untrained model is the same however the others are trained, so an offset that is
common to all retrained models shows there and nowhere else: 1/n of it belongs in every credit, and to meet that stratum by
chance would make it the whole uncertainty.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Coalitions = NDArray[np.bool_]
LISTED = (
    5_000  # a stratum of up to so many coalitions is listed, of a larger one coalitions are drawn until they differ
)


@dataclass(frozen=True)
class Draw:
    """Coalitions of the others.

    coalitions: bool[k, others], all different, by size.
    weights: float64[k], sum 1; the weighted sum of marginal contributions is an unbiased estimate of the Shapley value.
    fraction: float64[k], how much of its stratum was drawn; 0 where the sizes themselves were drawn.
    """

    coalitions: Coalitions
    weights: Floats
    fraction: Floats

    @property
    def complete(self) -> bool:
        """Whether these are all coalitions there are."""
        return bool((self.fraction == 1).all())


def draw_coalitions(others: int, pairs: int, seed: int | Sequence[int]) -> Draw:
    """`pairs` different coalitions of the others, or all 2^others if these are no more; the same for the same seed.

    Raises ValueError for nobody to draw from, or for fewer than two pairs.
    """
    if others < 1:
        raise ValueError("a contributor's credit can only be checked against others, and there is nobody else")
    if pairs < 2:
        raise ValueError(f"an audit takes at least two pairs, not {pairs}")
    rng = np.random.default_rng(seed)
    counts = _counts(others, pairs, rng)
    strata = [_stratum(others, size, count, rng) for size, count in enumerate(counts)]
    sizes = np.repeat(np.arange(others + 1), counts)
    if all(counts):
        weights = 1 / (others + 1) / np.array(counts, dtype=np.float64)[sizes]
        fraction = np.array([count / comb(others, size) for size, count in enumerate(counts)])[sizes]
    else:
        weights = np.where(sizes == 0, 1.0, others / (len(sizes) - 1)) / (others + 1)
        fraction = np.where(sizes == 0, 1.0, 0.0)
    return Draw(np.concatenate(strata), weights, fraction)


def _counts(others: int, pairs: int, rng: np.random.Generator) -> list[int]:
    """How many coalitions of each size, 0 … others."""
    capacity = [comb(others, size) for size in range(others + 1)]
    if pairs >= 2**others:
        return capacity
    counts, left = [1, *[0] * others], pairs - 1
    if left < others:  # evenly spaced from a random start: every size is as likely as any other, and none comes twice
        start = rng.random()
        for step in range(left):
            counts[1 + min(others - 1, int((start + step) * others / left))] += 1
        return counts
    while left:
        room = [size for size in range(1, others + 1) if counts[size] < capacity[size]]
        least = min(counts[size] for size in room)
        level = rng.permutation([size for size in room if counts[size] == least])[:left]
        for size in level:
            counts[size] += 1
        left -= len(level)
    return counts


def _stratum(others: int, size: int, count: int, rng: np.random.Generator) -> Coalitions:
    """`count` different coalitions of one size, each as likely as any other: bool[count, others]."""
    rows = np.zeros((count, others), dtype=bool)
    total = comb(others, size)
    if total <= LISTED:
        chosen = set(rng.choice(total, count, replace=False).tolist())
        found = [m for number, m in enumerate(itertools.combinations(range(others), size)) if number in chosen]
    else:
        different: dict[tuple[int, ...], None] = {}
        while len(different) < count:
            different[tuple(sorted(rng.choice(others, size, replace=False).tolist()))] = None
        found = list(different)
    for row, members in zip(rows, found, strict=True):
        row[list(members)] = True
    return rows
