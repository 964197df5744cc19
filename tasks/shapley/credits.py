"""The result: credits with their uncertainty, whatever estimator made them.

Two readings of one vector. *Credits* add up to v(N) - v(∅), so all of them move with the baseline v(∅). *Excess*
credits are what is above an equal share; the baseline cannot move them, and ranks are judged on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .estimate import Surrogate

Floats = NDArray[np.float64]
LOW_BUDGET_FACTOR = 3  # under 3 evaluations a player even good estimators' intervals are shaky (facts: coverage at 2n)
TIE = 1e-12  # differences below this share of the largest value are rounding, not order


@dataclass(frozen=True)
class Credits:
    """Shapley values of one property.

    values: float64[n], in the property's unit, more is better; they sum to grand - empty + efficiency_gap.
    covariance: float64[n, n] of values; NaN when nothing is left to judge the error by (degrees_of_freedom 0).
    degrees_of_freedom: of the t quantiles; inf means normal.
    grand, empty: v(N), v(∅). efficiency_gap: Σ values - (v(N) - v(∅)); zero for least squares, which enforces it.
    efficiency_gap_se: its standard error. surrogate: the estimator's model of v, None where it has none.
    n_evaluations: distinct coalitions used. estimator: the one that really ran (`definition` for complete tables).
    """

    values: Floats
    covariance: Floats
    degrees_of_freedom: float
    grand: float
    empty: float
    n_evaluations: int
    estimator: str
    efficiency_gap: float = 0.0
    efficiency_gap_se: float = 0.0
    surrogate: Surrogate | None = None

    @property
    def low_budget(self) -> bool:
        """Fewer evaluations than three a player: read the intervals with care. Complete tables are never low."""
        complete = self.estimator == "definition"
        return not complete and self.n_evaluations < LOW_BUDGET_FACTOR * len(self.values)

    @property
    def excess(self) -> Floats:
        """Credits above an equal share: float64[n], sums to zero, does not move with v(∅)."""
        return self.values - self.values.mean()

    @property
    def excess_covariance(self) -> Floats:
        """Covariance of `excess`: float64[n, n]."""
        rows = self.covariance - self.covariance.mean(axis=0, keepdims=True)
        return rows - rows.mean(axis=1, keepdims=True)

    def interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """(low[n], high[n]) of the credits at a level in (0, 1), each player by itself."""
        return self._interval(self.values, self.covariance, level)

    def excess_interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """(low[n], high[n]) of the excess credits at a level in (0, 1), each player by itself."""
        return self._interval(self.excess, self.excess_covariance, level)

    def probability_greater(self) -> Floats:
        """P(credit i > credit j): float64[n, n], 0.5 on the diagonal and for ties; P + Pᵀ = 1."""
        if self.degrees_of_freedom <= 0:
            return np.full(self.covariance.shape, 0.5)
        difference = self.excess[:, None] - self.excess[None, :]
        variance = np.diag(self.excess_covariance)
        spread = np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * self.excess_covariance, 0))
        rounding = TIE * np.abs(self.values).max()
        difference = np.where(np.abs(difference) <= rounding, 0.0, difference)
        known = spread <= rounding  # no spread: the order is what it is
        score = difference / np.where(known, 1.0, spread)
        score[known & (difference > 0)] = np.inf
        score[known & (difference < 0)] = -np.inf
        return np.asarray(stats.t.cdf(score, self.degrees_of_freedom), dtype=np.float64)

    def shares(self) -> tuple[Floats | None, str | None]:
        """Shares of a payout: max(credit, 0) / Σ max(credit, 0), or (None, why there are none)."""
        if self.grand <= self.empty:
            return None, (
                f"training on everybody's images is no better than the baseline ({self.grand:.6g} against "
                f"{self.empty:.6g}), so there is nothing to share"
            )
        positive = np.maximum(self.values, 0)
        if positive.sum() <= 0:
            return None, "no contributor has a credit above zero"
        return positive / positive.sum(), None

    def _interval(self, centre: Floats, covariance: Floats, level: float) -> tuple[Floats, Floats]:
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}")
        if self.degrees_of_freedom <= 0:
            return np.full(centre.shape, -np.inf), np.full(centre.shape, np.inf)
        half = stats.t.ppf(0.5 + level / 2, self.degrees_of_freedom) * np.sqrt(np.maximum(np.diag(covariance), 0))
        return centre - half, centre + half
