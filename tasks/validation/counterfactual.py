"""Counterfactuals: take away whom a method credits most, or keep only them, retrain, and see what the model loses.

Different methods often name the same contributors; each coalition is retrained once, whoever asks for it.
Source: Lin et al. 2025, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tasks.shapley.validate import check_values

from .checks import TIE, Floats, check_credits, order_numbers


@dataclass(frozen=True)
class Cut:
    """share: of the contributors, in (0, 1), that are removed from the top or alone kept of it."""

    kind: Literal["remove", "keep"]
    share: float


CUTS = (Cut("remove", 0.4), Cut("remove", 0.6), Cut("keep", 0.4), Cut("keep", 0.6))


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """coalitions: bool[k, n], distinct, in the order in which they are first asked for.

    asked: one row a method and cut, with columns method, kind, share, contributors (how many are cut off or kept) and
    coalition (its row).
    """

    coalitions: NDArray[np.bool_]
    asked: pd.DataFrame

    def changes(self, values: ArrayLike, grand: float) -> pd.DataFrame:
        """`asked` with columns value and change = (v(S) - v(N)) / |v(N)|.

        values: float[k] of `coalitions`, retrained, more is better; grand: v(N), retrained the same way. Where v(N) is
        zero there is no relative change, and the column holds None.
        """
        checked = check_values(values, len(self.coalitions))
        whole = float(check_values([grand], 1)[0])
        found = self.asked.assign(value=checked[self.asked["coalition"].to_numpy()])
        if whole == 0:
            return found.assign(change=pd.Series([None] * len(found), index=found.index, dtype=object))
        return found.assign(change=(found["value"] - whole) / abs(whole))


def plan_counterfactuals(
    credits: Mapping[str, ArrayLike], names: Sequence[str], cuts: Sequence[Cut] = CUTS
) -> Counterfactuals:
    """Coalitions of every method's cuts.

    credits: float[n] by method; names: of the n contributors. Highest credits first; equal ones (up to rounding) in the
    order of their names, by code point. A cut is of share · n contributors, halves rounded up, but of one at least and
    never of all.
    """
    n = len(names)
    if n < 2 or len(set(names)) < n:
        raise ValueError(f"names must be of at least two contributors, and each there once; these are {list(names)}")
    wrong = [cut for cut in cuts if cut.kind not in ("remove", "keep") or not 0 < cut.share < 1]
    if wrong:
        raise ValueError(f"a cut removes or keeps a share between 0 and 1, not {wrong[0]}")
    rows: dict[bytes, int] = {}
    coalitions: list[NDArray[np.bool_]] = []
    asked = []
    for method, given in credits.items():
        order = ranked(check_credits(given, n, f"credits of {method}"), names)
        for cut in cuts:
            count = cut_off(cut, n)
            row = np.full(n, cut.kind == "remove")
            row[order[:count]] = cut.kind == "keep"
            if row.tobytes() not in rows:
                rows[row.tobytes()] = len(coalitions)
                coalitions.append(row)
            asked.append((method, cut.kind, cut.share, count, rows[row.tobytes()]))
    table = pd.DataFrame(asked, columns=["method", "kind", "share", "contributors", "coalition"])
    return Counterfactuals(np.array(coalitions, dtype=bool).reshape(len(coalitions), n), table)


def cut_off(cut: Cut, n: int) -> int:
    """How many of n contributors a cut removes, or keeps."""
    return min(max(int(np.floor(cut.share * n + 0.5 + 1e-9)), 1), n - 1)


def most_coalitions(n: int, orders: int, cuts: Sequence[Cut] = CUTS) -> int:
    """The most distinct coalitions that so many orders of n contributors can ask for: all there are of the cuts' sizes, or
    one an order and cut."""
    sizes = [n - cut_off(cut, n) if cut.kind == "remove" else cut_off(cut, n) for cut in cuts]
    return sum(min(orders * sizes.count(size), math.comb(n, size)) for size in set(sizes))


def ranked(credits: Floats, names: Sequence[str]) -> list[int]:
    """Columns from the highest credit to the lowest, equal ones by name."""
    numbers = order_numbers(credits, TIE * float(np.abs(credits).max()))
    return sorted(range(len(names)), key=lambda column: (-numbers[column], names[column]))
