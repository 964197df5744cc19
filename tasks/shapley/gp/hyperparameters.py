"""What the Gaussian process learns from the evaluations: eleven numbers, each with a weak prior.

Values are standardised before anything is fitted, so one prior serves every property. A vector of these numbers is what
the optimiser moves; everybody else reads them by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL_VARIANCE = 4.0  # prior variance of the game's level, in units of the values' variance; held fixed
NOISE_FLOOR = 1e-6  # variance of an evaluation that is always there: keeps the covariance matrix well conditioned

NAMES = (
    "log_allocation", "log_additive", "log_composition", "log_data_size", "log_head_count", "log_interaction",
    "log_rivalry", "log_sharpness", "log_noise", "size_power", "noise_growth",
)  # fmt: skip
# Means and s.d.s of the Gaussian priors: weak, a few dozen evaluations overrule them.
PRIOR_MEAN = np.array([0.0, -0.7, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, -4.0, 0.5, 0.0])
PRIOR_SD = np.array([1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 2.5, 0.5, 0.5])


@dataclass(frozen=True)
class Hyperparameters:
    """Amplitudes are standard deviations in units of the values' s.d.

    allocation: of the part proportional to size^size_power. additive: of each player's own worth; composition: of the part
    of it that fades in larger coalitions. data_size, head_count: of curves that saturate in Σ u_d and in |S|.
    interaction: of the part in which any players may interact; rivalry: of the part of it that fades in larger
    coalitions; sharpness: how soon two coalitions that differ have nothing in common. noise: variance of one evaluation
    of middling size. size_power: gamma of the prior allocation. noise_growth: rho, noise variance ∝ (1/|S|)^rho.
    """

    allocation: float
    additive: float
    composition: float
    data_size: float
    head_count: float
    interaction: float
    rivalry: float
    sharpness: float
    noise: float
    size_power: float
    noise_growth: float

    @classmethod
    def of(cls, vector: Floats) -> Hyperparameters:
        """From the optimiser's vector, float64[11], in the order of NAMES."""
        values = dict(zip(NAMES, vector.tolist(), strict=True))
        values = {
            name.removeprefix("log_"): math.exp(value) if name.startswith("log_") else value
            for name, value in values.items()
        }
        values["noise"] += NOISE_FLOOR
        return cls(**values)


def log_prior(vector: Floats) -> tuple[float, Floats]:
    """Log density of the priors up to a constant, and its gradient float64[11]."""
    off = (vector - PRIOR_MEAN) / PRIOR_SD
    return float(-0.5 * (off**2).sum()), -off / PRIOR_SD
