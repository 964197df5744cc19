"""What comes in from outside is checked here once; everything behind this door may trust its arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Coalitions = NDArray[np.bool_]
Floats = NDArray[np.float64]


class UnidentifiedError(ValueError):
    """The evaluations at hand leave some credit undetermined; the message says how many there are and what to add."""


@dataclass(frozen=True)
class Evaluations:
    """Checked rows (S, v(S)) of one property, more is better.

    coalitions: bool[m, n]; values: float64[m], finite; sizes: float64[n] > 0 or None (images of each contributor).
    Rows may repeat. The empty and the grand coalition are there at least once.
    """

    coalitions: Coalitions
    values: Floats
    sizes: Floats | None

    @property
    def n_players(self) -> int:
        return int(self.coalitions.shape[1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """|S| of every row: int64[m]."""
        return self.coalitions.sum(axis=1)

    @property
    def empty(self) -> float:
        """v(∅), the mean where it was evaluated more than once."""
        return float(self.values[self.counts == 0].mean())

    @property
    def grand(self) -> float:
        """v(N), the mean where it was evaluated more than once."""
        return float(self.values[self.counts == self.n_players].mean())

    def proper(self) -> tuple[Coalitions, Floats]:
        """Rows that are neither empty nor grand."""
        inside = (self.counts > 0) & (self.counts < self.n_players)
        return self.coalitions[inside], self.values[inside]


def distinct(coalitions: Coalitions, values: Floats) -> tuple[Coalitions, Floats, NDArray[np.int64]]:
    """Merge repeated coalitions: (rows bool[k, n], mean values float64[k], how often each was there int64[k])."""
    rows, inverse, times = np.unique(coalitions, axis=0, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), weights=values, minlength=len(rows))
    return rows, sums / times, times.astype(np.int64)


def check_players(n_players: Any) -> int:
    """The number of players as an int >= 2, else ValueError."""
    if isinstance(n_players, bool) or not isinstance(n_players, int | np.integer) or n_players < 2:
        raise ValueError(f"n_players must be a whole number of at least 2, not {n_players!r}")
    return int(n_players)


def check_coalitions(coalitions: ArrayLike, n_players: int | None = None) -> Coalitions:
    """Coalitions as bool[m, n]; 0/1 numbers are refused as well, for a table of values looks just like them."""
    rows = np.asarray(coalitions)
    if rows.ndim != 2:
        raise ValueError(f"coalitions must be a table with one row an evaluation, not an array of shape {rows.shape}")
    if rows.dtype != np.bool_:
        raise ValueError(f"coalitions must be boolean, not {rows.dtype}; use coalitions.astype(bool) if you mean it")
    if n_players is not None and rows.shape[1] != n_players:
        raise ValueError(f"coalitions have {rows.shape[1]} columns, but there are {n_players} players")
    return rows


def check_values(values: ArrayLike, n_rows: int) -> Floats:
    """Values as finite float64[n_rows], else ValueError that names the first bad row."""
    checked = np.asarray(values, dtype=np.float64)
    if checked.shape != (n_rows,):
        raise ValueError(f"values have shape {checked.shape}, but there are {n_rows} coalitions")
    bad = np.flatnonzero(~np.isfinite(checked))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {n_rows} values are not finite (first: row {bad[0]}, {checked[bad[0]]}); "
            "leave out evaluations that failed"
        )
    return checked


def check_sizes(sizes: ArrayLike | None, n_players: int) -> Floats | None:
    """Sizes as finite positive float64[n_players], or None."""
    if sizes is None:
        return None
    checked = np.asarray(sizes, dtype=np.float64)
    if checked.shape != (n_players,):
        raise ValueError(f"sizes have shape {checked.shape}, but there are {n_players} players")
    if not (np.isfinite(checked).all() and (checked > 0).all()):
        raise ValueError("sizes must be positive and finite")
    return checked


def check_evaluations(coalitions: ArrayLike, values: ArrayLike, sizes: ArrayLike | None) -> Evaluations:
    """All checks of `estimate_credits` that do not depend on the estimator; ValueError says what is wrong."""
    rows = check_coalitions(coalitions)
    n_players = check_players(rows.shape[1])
    checked = Evaluations(rows, check_values(values, len(rows)), check_sizes(sizes, n_players))
    missing = [
        name
        for name, count in (("empty coalition (v of nobody)", 0), ("grand coalition (v of everybody)", n_players))
        if not (checked.counts == count).any()
    ]
    if missing:
        raise ValueError(f"no evaluation of the {' and none of the '.join(missing)}; credits need both")
    return checked
