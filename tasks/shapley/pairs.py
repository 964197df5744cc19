"""Complementary pairs (S, N - S) among rows: what the balanced design draws and two estimators live on.

The Shapley value depends on the odd part of a game alone, (v(S) - v(N - S)) / 2, and a pair is one measurement of it;
of a row whose other half is missing, odd and even part cannot be told apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .validate import Coalitions

Positions = NDArray[np.int64]


def match_pairs(coalitions: Coalitions) -> tuple[Positions, Positions, Positions]:
    """Where pairs and single rows stand: (first[p], second[p], single[q]) with 2 p + q = m; distinct rows bool[m, n]."""
    place = {row.tobytes(): index for index, row in enumerate(coalitions)}
    other = np.array([place.get((~row).tobytes(), -1) for row in coalitions], dtype=np.int64)
    first = np.flatnonzero(other > np.arange(len(other)))
    return first, other[first], np.flatnonzero(other < 0)


def paired_share(coalitions: Coalitions) -> float:
    """Share of the different coalitions whose complement is there too, ∅ and N not counted; 0 where there are none."""
    rows = np.unique(coalitions, axis=0)
    rows = rows[rows.any(axis=1) & ~rows.all(axis=1)]
    return 2 * len(match_pairs(rows)[0]) / max(len(rows), 1)
