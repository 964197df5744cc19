"""The result: credits with their uncertainty, whatever estimator made them.

Two readings of one vector. *Credits* add up to v(N) - v(∅), so all of them move with the baseline v(∅). *Excess*
credits are what is above an equal share; the baseline cannot move them, and ranks are judged on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tasks.estimator_facts import PREDICTING

from .estimate import Surrogate
from .validate import check_coalitions

Floats = NDArray[np.float64]
LOW_BUDGET_FACTOR = 3  # under 3 evaluations a player even good estimators' intervals are shaky (facts: coverage at 2n)
TIE = 1e-12  # differences below this share of the largest value are rounding, not order


@dataclass(frozen=True)
class Credits:
    """Shapley values of one property.

    values: float64[n], in the property's unit, more is better; they sum to grand - empty.
    covariance: float64[n, n] of values; NaN when nothing is left to judge the error by (degrees_of_freedom 0).
    degrees_of_freedom: of the t quantiles; inf means normal.
    grand, empty: v(N), v(∅). efficiency_gap: by how much the sum of credits missed v(N) - v(∅)
    before the difference was spread evenly over all; zero for estimators that never leave it. efficiency_gap_se: its
    standard error. surrogate: the estimator's model of v, None where it has none.
    present: bool[columns], which columns of the evaluations the values belong to, in order; None means all.
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
    present: NDArray[np.bool_] | None = None

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
        return self._interval(self.values, np.diag(self.covariance), level)

    def excess_interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """(low[n], high[n]) of the excess credits at a level in (0, 1), each player by itself."""
        return self._interval(self.excess, np.diag(self.excess_covariance), level)

    def group(self, members: ArrayLike, level: float = 0.9) -> tuple[float, float, float]:
        """(credit, low, high) of several players together, the sum of theirs, with an interval that knows how their
        errors go together.

        members: bool[n], or different positions among the n values. ValueError for nobody and for what is no player.
        """
        return self._sum(self.values, self.covariance, members, level)

    def excess_group(self, members: ArrayLike, level: float = 0.9) -> tuple[float, float, float]:
        """(excess, low, high) of several players together: what they have above as many equal shares; see `group`."""
        return self._sum(self.excess, self.excess_covariance, members, level)

    def predict(self, coalitions: ArrayLike) -> tuple[Floats, Floats]:
        """(mean float64[k], s.d. float64[k]) of v(S) for bool[k, columns], evaluated or not, as the estimator sees them.

        Columns are those of the evaluations, former players among them where there are any. The empty coalition gets
        the v(∅) that was measured, with an s.d. that is not known (NaN, but for complete
        tables): no surrogate says where an untrained network
        lies. What the s.d. holds depends on
        the surrogate (`surrogates`, `gp`). ValueError where the estimator has none.
        """
        rows = check_coalitions(coalitions, len(self.values) if self.present is None else len(self.present))
        if self.surrogate is None:
            raise ValueError(
                f"estimator {self.estimator} has no model of v to predict with; those that have one: "
                f"{', '.join(PREDICTING)}"
            )
        mean, sd = self.surrogate.predict(rows)
        nobody = ~rows.any(axis=1)
        return np.where(nobody, self.empty, mean), np.where(nobody & (self.estimator != "definition"), np.nan, sd)

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
                f"training on everybody's images is no better than the baseline (worth {self.grand:.6g} against "
                f"{self.empty:.6g}, signs set so that more is better), so there is nothing to share"
            )
        positive = np.maximum(self.values, 0)
        if positive.sum() <= 0:
            return None, "no contributor has a credit above zero"
        return positive / positive.sum(), None

    def _sum(self, values: Floats, covariance: Floats, members: ArrayLike, level: float) -> tuple[float, float, float]:
        chosen = check_members(members, len(values)).astype(np.float64)
        low, high = self._interval(chosen @ values, chosen @ covariance @ chosen, level)
        return float(chosen @ values), float(low), float(high)

    def _interval(self, centre: Floats, variance: Floats, level: float) -> tuple[Floats, Floats]:
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}")
        if self.degrees_of_freedom <= 0:
            return np.full(centre.shape, -np.inf), np.full(centre.shape, np.inf)
        half = stats.t.ppf(0.5 + level / 2, self.degrees_of_freedom) * np.sqrt(np.maximum(variance, 0))
        return centre - half, centre + half


def check_members(members: ArrayLike, n_players: int) -> NDArray[np.bool_]:
    """Which players a group has: bool[n_players], from that or from positions."""
    given = np.asarray(members)
    if given.ndim != 1 or not given.size:
        raise ValueError(
            f"members must name at least one player, by bool[{n_players}] or by positions, not {members!r}"
        )
    if given.dtype == np.bool_:
        if len(given) != n_players:
            raise ValueError(f"members have {len(given)} entries, but there are {n_players} players")
        if not given.any():
            raise ValueError("members must name at least one player: nobody has no credit")
        return given
    if not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"members must be boolean or positions, not {given.dtype}")
    if given.min() < 0 or given.max() >= n_players or len(np.unique(given)) < len(given):
        raise ValueError(f"members must be different positions from 0 to {n_players - 1}, not {given.tolist()}")
    chosen = np.zeros(n_players, dtype=bool)
    chosen[given] = True
    return chosen
