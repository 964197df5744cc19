"""What every estimator returns, so that a new one (the Gaussian process) drops in beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Surrogate(Protocol):
    """A model of v that an estimator fitted on its way: what it believes of coalitions nobody has evaluated."""

    def predict(self, coalitions: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(mean float64[k], s.d. float64[k]) of v(S); coalitions: bool[k, columns].

        Columns are those of the evaluations, former players among them. The s.d. is without the noise of an evaluation
        where the estimator can tell it apart. NaN where something is not known.
        """
        ...


@dataclass(frozen=True)
class Estimate:
    """values: float64[n]. covariance: float64[n, n], NaN (unknown) where degrees_of_freedom, of t quantiles, is 0.

    n is the number of present players. values sum to v(N) - v(∅); efficiency_gap is by how much they missed it before
    they were made to. surrogate: None for an estimator that models no values of coalitions.
    """

    values: Floats
    covariance: Floats
    degrees_of_freedom: float
    efficiency_gap: float = 0.0
    efficiency_gap_se: float = 0.0
    surrogate: Surrogate | None = None
