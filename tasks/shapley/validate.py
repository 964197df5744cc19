"""What comes in from outside is checked here once; everything behind this door may trust its arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Coalitions = NDArray[np.bool_]
Floats = NDArray[np.float64]


ROUNDING = 64  # units in the last place of the largest value
SMALLEST = 1e-100  # a range of values below this has squares that are no numbers
LARGEST = 1e100


class UnidentifiedError(ValueError):
    """The evaluations at hand leave some credit undetermined; the message says how many there are and what to add."""


@dataclass(frozen=True)
class Evaluations:
    """Checked rows (S, v(S)) of one property, more is better, over present and former players.

        columns    present     former
        row        1 0 1 1     0 0        one of the present players' own game: `own`
        row        1 1 0 1     1 0        tells a surrogate something, but is no coalition of that game

    coalitions: bool[m, columns]; values: float64[m], finite; sizes: float64[columns] > 0 or None (images of each
    contributor). present: bool[columns], False for a former player (one who left): credits are those of the game among
    the present players, former ones never in. Rows may repeat. The empty coalition and the grand one (everybody
    present, nobody former) are there at least once.
    """

    coalitions: Coalitions
    values: Floats
    sizes: Floats | None
    present: NDArray[np.bool_]

    @property
    def n_players(self) -> int:
        """Number of present players."""
        return int(self.present.sum())

    @property
    def counts(self) -> NDArray[np.int64]:
        """Present players of every row: int64[m]."""
        return np.asarray(self.coalitions[:, self.present].sum(axis=1), dtype=np.int64)

    @property
    def is_own(self) -> NDArray[np.bool_]:
        """Rows without any former player: bool[m]."""
        return np.asarray(~self.coalitions[:, ~self.present].any(axis=1), dtype=np.bool_)

    @property
    def empty(self) -> float:
        """v(∅), the mean where it was evaluated more than once."""
        return float(self.values[self.is_own & (self.counts == 0)].mean())

    @property
    def grand(self) -> float:
        """v of all present players and nobody else, the mean where it was evaluated more than once."""
        return float(self.values[self.is_own & (self.counts == self.n_players)].mean())

    @property
    def grand_times(self) -> int:
        """How often the grand coalition was evaluated: `grand` is a mean of so many."""
        return int((self.is_own & (self.counts == self.n_players)).sum())

    @property
    def empty_times(self) -> int:
        """How often the empty coalition was evaluated: `empty` is a mean of so many."""
        return int((self.is_own & (self.counts == 0)).sum())

    def own(self) -> Evaluations:
        """The present players' game alone: rows without former players, columns of present ones."""
        if self.present.all():
            return self
        sizes = None if self.sizes is None else self.sizes[self.present]
        rows = self.coalitions[np.ix_(self.is_own, self.present)]
        return Evaluations(rows, self.values[self.is_own], sizes, np.ones(self.n_players, dtype=bool))

    def without_copies(self) -> Evaluations:
        """Each evaluation once: a coalition that is there twice with the very same value is one record met twice, and
        no repeat that tells of noise. Repeats with different values stay."""
        names = np.concatenate(
            [np.packbits(self.coalitions, axis=1), (self.values[:, None] + 0.0).view(np.uint8)], axis=1
        )
        first = np.sort(np.unique(names, axis=0, return_index=True)[1])
        return replace(self, coalitions=self.coalitions[first], values=self.values[first])

    def proper(self) -> tuple[Coalitions, Floats]:
        """Rows of the present players' game that are neither empty nor grand: (bool[k, n_players], float64[k])."""
        inside = self.is_own & (self.counts > 0) & (self.counts < self.n_players)
        return self.coalitions[np.ix_(inside, self.present)], self.values[inside]


def distinct(coalitions: Coalitions, values: Floats) -> tuple[Coalitions, Floats, NDArray[np.int64]]:
    """Merge repeated coalitions: (rows bool[k, n], mean values float64[k], how often each was there int64[k])."""
    # By value first: so sums of repeats come out the same to the bit in whatever order the rows came.
    order = np.argsort(values, kind="stable")
    coalitions, values = coalitions[order], values[order]
    rows, inverse, times = np.unique(coalitions, axis=0, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse.ravel(), weights=values, minlength=len(rows))
    return rows, sums / times, times.astype(np.int64)


def is_constant(values: Floats) -> bool:
    """Whether values differ by rounding only, or are too close to zero for their squares to be numbers."""
    if not len(values):
        return True
    return bool(np.ptp(values) <= max(ROUNDING * np.spacing(np.abs(values).max()), SMALLEST))


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


def own_columns(coalitions: Coalitions, present: NDArray[np.bool_]) -> Coalitions:
    """Columns of the present players, bool[k, n], of coalitions of theirs alone; ValueError where a former one is in."""
    rows = check_coalitions(coalitions, len(present))
    if rows[:, ~present].any():
        raise ValueError("this estimator knows nothing of coalitions with former players; `gp` does")
    return rows[:, present]


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
    if n_rows and np.abs(checked).max() > LARGEST:
        raise ValueError(f"values reach {np.abs(checked).max():.3g}; above {LARGEST:.0e} their squares are no numbers")
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


def check_former(former: ArrayLike | None, n_columns: int) -> NDArray[np.bool_]:
    """Which players are present: bool[n_columns], from a mask of former ones."""
    if former is None:
        return np.ones(n_columns, dtype=bool)
    gone = np.asarray(former)
    if gone.dtype != np.bool_ or gone.shape != (n_columns,):
        raise ValueError(
            f"former must be boolean with one entry for each of the {n_columns} columns, True for a player who left; "
            f"this is {gone.dtype} of shape {gone.shape}"
        )
    if n_columns - gone.sum() < 2:
        raise ValueError(f"{gone.sum()} of {n_columns} players are former; credits are among at least 2 present ones")
    return ~gone


def check_evaluations(
    coalitions: ArrayLike, values: ArrayLike, sizes: ArrayLike | None, former: ArrayLike | None = None
) -> Evaluations:
    """All checks of `estimate_credits` that do not depend on the estimator; ValueError says what is wrong."""
    rows = check_coalitions(coalitions)
    n_columns = check_players(rows.shape[1])
    present = check_former(former, n_columns)
    checked = Evaluations(rows, check_values(values, len(rows)), check_sizes(sizes, n_columns), present)
    everybody = "everybody" if present.all() else f"everybody but the {(~present).sum()} former players"
    counts = checked.counts[checked.is_own]
    missing = [
        name
        for name, count in (
            ("empty coalition (v of nobody)", 0),
            (f"grand coalition (v of {everybody})", checked.n_players),
        )
        if not (counts == count).any()
    ]
    if missing:
        raise ValueError(
            f"no evaluation of the {' and none of the '.join(missing)}; credits need both, so evaluate what is missing"
        )
    return checked
