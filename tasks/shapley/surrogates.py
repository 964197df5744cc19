"""What the least-squares estimators and the definition believe of single coalitions.

The models of v they fit on their way, kept so that every belief can be looked at. They know the present players' game
alone and refuse a coalition with a former player. The Gaussian process has a surrogate of its own (`gp`), made to predict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .validate import Coalitions, Floats, own_columns


@dataclass(frozen=True)
class SizeSurrogate:
    """v(S) = curve(|S|) + Σ_{i ∈ S} excess_i - |S| · mean excess: what a least-squares fit of credits says of values.

    present: bool[columns]. by_size: float64[n+1], the curve, v(∅) and v(N) at its ends, NaN at sizes the rows do not
    tell. excess: float64[n], sums to zero; covariance: float64[n, n] of it. rest: float64[n+1], s.d. of what is left at
    each size: interactions, which a sum of credits does not know, and noise, which it cannot tell from them.
    """

    present: NDArray[np.bool_]
    by_size: Floats
    excess: Floats
    covariance: Floats
    rest: Floats

    def predict(self, coalitions: Coalitions) -> tuple[Floats, Floats]:
        """(mean float64[k], s.d. float64[k]); the curve is taken as known, and v(∅) and v(N) as they are."""
        rows = own_columns(coalitions, self.present)
        size = rows.sum(axis=1)
        centred = rows - size[:, None] / rows.shape[1]
        variance = ((centred @ self.covariance) * centred).sum(axis=1)
        inside = (size > 0) & (size < rows.shape[1])
        variance = np.where(inside, np.maximum(variance, 0) + self.rest[size] ** 2, self.rest[size] ** 2)
        return self.by_size[size] + centred @ self.excess, np.sqrt(variance)


@dataclass(frozen=True)
class Constant:
    """Every coalition is worth the same, as all that were evaluated are."""

    value: float

    def predict(self, coalitions: Coalitions) -> tuple[Floats, Floats]:
        """(mean float64[k], s.d. float64[k]): the value, and none."""
        return np.full(len(coalitions), self.value), np.zeros(len(coalitions))


@dataclass(frozen=True)
class Table:
    """Every coalition's own value. present: bool[columns]; values: float64[2^n], row number Σ 2^i [i ∈ S]; sd: of one."""

    present: NDArray[np.bool_]
    values: Floats
    sd: float

    def predict(self, coalitions: Coalitions) -> tuple[Floats, Floats]:
        """(mean float64[k], s.d. float64[k]): the value as evaluated, and the noise it may hold where that was measured."""
        number = row_numbers(own_columns(coalitions, self.present))
        return self.values[number], np.full(len(number), self.sd)


def row_numbers(coalitions: Coalitions) -> NDArray[np.int64]:
    """Σ 2^i [i ∈ S] of every row: int64[k]; for up to 62 players."""
    return np.asarray(coalitions @ (1 << np.arange(coalitions.shape[1], dtype=np.int64)), dtype=np.int64)


def residual_sd(residuals: Floats, parameters: int) -> float:
    """s.d. of residuals after so many parameters were fitted; NaN where none is left over."""
    left = len(residuals) - parameters
    return float(np.sqrt((residuals**2).sum() / left)) if left > 0 else float("nan")
