"""What every estimator returns, so that a new one (the Gaussian process) drops in beside the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """values: float64[n]. covariance: float64[n, n], NaN (unknown) where degrees_of_freedom, of t quantiles, is 0."""

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    degrees_of_freedom: float
    efficiency_gap: float = 0.0
    efficiency_gap_se: float = 0.0
