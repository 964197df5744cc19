"""Which coalitions are retrained from scratch: drawn evenly, for each of them costs a whole training.

A linear datamodeling score is read at one size; fidelity also across sizes. With few coalitions chance would show some
contributors often and others hardly, and what is never in a test coalition cannot be tested; so appearances are
evened out after a uniform draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.shapley.validate import check_coalitions, check_players

from .checks import check_whole

Coalitions = NDArray[np.bool_]


@dataclass(frozen=True)
class Drawn:
    """coalitions: bool[k, n], distinct. asked: how many were wanted; k is less where so many do not exist."""

    coalitions: Coalitions
    asked: int

    @property
    def shortfall(self) -> int:
        """How many of those asked for do not exist."""
        return self.asked - len(self.coalitions)

    @property
    def appearances(self) -> NDArray[np.int64]:
        """In how many of the coalitions each contributor is: int64[n]."""
        return np.asarray(self.coalitions.sum(axis=0), dtype=np.int64)


def half(n_contributors: int) -> int:
    """The size at α = 0.5, halves rounded up: round(n / 2)."""
    return (check_players(n_contributors) + 1) // 2


def fixed_size(n_contributors: int, size: int, count: int, *, seed: int, avoid: ArrayLike | None = None) -> Drawn:
    """Distinct coalitions of one size, in which every contributor appears equally often to within one.

    count: how many; all there are where there are fewer. avoid: bool[any, n], coalitions not to be drawn; with them the
    appearances are as even as swaps of two contributors can make them. The draw treats all contributors alike, and the
    same arguments give the same rows. Raises ValueError for a size outside 1 … n - 1.
    """
    n = check_players(n_contributors)
    if not 1 <= check_whole(size, 1, "size") < n:
        raise ValueError(
            f"size must lie between 1 and {n - 1}, not {size}: of {n} contributors nobody and all are one each"
        )
    wanted = np.zeros(n + 1, dtype=np.int64)
    wanted[size] = check_whole(count, 1, "count")
    return _draw(n, wanted, seed, avoid)


def across_sizes(n_contributors: int, count: int, *, seed: int, avoid: ArrayLike | None = None) -> Drawn:
    """Distinct coalitions spread evenly over the sizes 1 … n - 1; otherwise as `fixed_size`.

    Fewer than n - 1 of them lie at evenly spaced sizes; a size that has no more coalitions gives its part to the rest.
    """
    n = check_players(n_contributors)
    left = check_whole(count, 1, "count")
    room = np.array([0, *(math.comb(n, size) for size in range(1, n)), 0], dtype=object)
    room -= np.bincount(_taken(n, avoid).sum(axis=1), minlength=n + 1)
    wanted = np.zeros(n + 1, dtype=np.int64)
    while left and (open_sizes := [size for size in range(1, n) if wanted[size] < room[size]]):
        some = min(left, len(open_sizes))
        wanted[[open_sizes[int((k + 0.5) * len(open_sizes) / some)] for k in range(some)]] += 1
        left -= some
    drawn = _draw(n, wanted, seed, avoid)
    return Drawn(drawn.coalitions, count)


def _taken(n: int, avoid: ArrayLike | None) -> Coalitions:
    return np.zeros((0, n), dtype=bool) if avoid is None else np.unique(check_coalitions(avoid, n), axis=0)


def _draw(n: int, wanted: NDArray[np.int64], seed: int, avoid: ArrayLike | None) -> Drawn:
    rng = np.random.default_rng(seed)
    taken = {row.tobytes() for row in _taken(n, avoid)}
    rows = [row for size in np.flatnonzero(wanted) for row in _uniform(n, int(size), int(wanted[size]), rng, taken)]
    found = np.array(rows, dtype=bool).reshape(len(rows), n)
    even_out(found, rng, taken)
    return Drawn(found, int(wanted.sum()))


def _uniform(n: int, size: int, count: int, rng: np.random.Generator, taken: set[bytes]) -> list[NDArray[np.bool_]]:
    """`count` coalitions of one size, each set of them as likely as any other; all where there are no more."""
    of_this_size = sum(np.frombuffer(name, dtype=bool).sum() == size for name in taken)
    there_are = math.comb(n, size) - int(of_this_size)
    if 2 * count >= there_are:  # so at most twice as many as asked for are listed
        every = [row for row in _every(n, size) if row.tobytes() not in taken]
        return [every[k] for k in rng.permutation(len(every))[:count]]
    seen = set(taken)
    rows: list[NDArray[np.bool_]] = []
    while len(rows) < count:
        row = np.zeros(n, dtype=bool)
        row[rng.choice(n, size, replace=False)] = True
        if row.tobytes() not in seen:
            seen.add(row.tobytes())
            rows.append(row)
    return rows


def _every(n: int, size: int) -> list[NDArray[np.bool_]]:
    rows = []
    for members in combinations(range(n), size):
        row = np.zeros(n, dtype=bool)
        row[list(members)] = True
        rows.append(row)
    return rows


def even_out(rows: Coalitions, rng: np.random.Generator, taken: set[bytes]) -> None:
    """Swap contributors between being in and out, in place, until appearances differ by one at most.

    i is in c_i coalitions and j in c_j <= c_i - 2. Those with i and without j then outnumber those with j and without i
    by two or more, at some size too, so among the first is one in which j can take i's place and which is not there
    already. Each swap lowers the sum of squared appearances: it ends. Only coalitions to avoid (`taken`) can stop it.
    """
    present = taken | {row.tobytes() for row in rows}
    while True:
        times = rows.sum(axis=0)
        high, low = np.flatnonzero(times == times.max()), np.flatnonzero(times == times.min())
        if times.max() - times.min() <= 1 or not _swap(rows, rng.permutation(high), rng.permutation(low), rng, present):
            return


def _swap(rows: Coalitions, high: np.ndarray, low: np.ndarray, rng: np.random.Generator, present: set[bytes]) -> bool:
    for leaves in high:
        for comes in low:
            for k in rng.permutation(np.flatnonzero(rows[:, leaves] & ~rows[:, comes])):
                swapped = rows[k].copy()
                swapped[leaves], swapped[comes] = False, True
                if swapped.tobytes() not in present:
                    present.remove(rows[k].tobytes())
                    present.add(swapped.tobytes())
                    rows[k] = swapped
                    return True
    return False
