"""What the process is fitted to: distinct coalitions with their mean values, and all that repeats tell about the noise.

Values are centred and scaled here, without the row of ∅: an untrained network may lie hundreds of s.d. off, and scaled with
it all other values would look alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..noise import MeasuredNoise
from ..validate import Evaluations, distinct, is_constant
from .hyperparameters import Floats

KNOWN_DEGREES = 1e4  # degrees of freedom at which a noise variance counts as known
# Degrees of freedom of repeats below which noise is taken to be the same everywhere. Measured at n = 12, m = 60, noise 20 %:
# a growth read off 6 or 20 of them costs more (error 5 to 20 % larger) than a real one that is overlooked.
GROWTH_DEGREES = 60.0


@dataclass(frozen=True)
class Evidence:
    """Rows other than ∅, standardised: y = centre + scale · values.

    rows: float64[m, columns] of 0 and 1. values: float64[m], means of repeats. times: float64[m], how often each was
    evaluated. scatter: float64[m], Σ squared deviations from the mean of repeats. growth: float64[m], log of how much
    smaller than usual the coalition is, mean 0. trust: float64[m], 1, or less for a row that looks like an outlier.
    audit_variance, audit_degrees, audit_growth: float64[k], the noise of one evaluation as replicates under other seeds
    measured it, in k classes of coalition size; growth 0 where it is known for all sizes together.
    """

    rows: Floats
    values: Floats
    times: Floats
    scatter: Floats
    growth: Floats
    trust: Floats
    centre: float
    scale: float
    audit_variance: Floats
    audit_degrees: Floats
    audit_growth: Floats

    def noise(self, variance: float, growth: float) -> Floats:
        """Variance of each row's mean: float64[m]."""
        return np.asarray(variance * np.exp(growth * self.growth) / (self.times * self.trust))

    @property
    def shows_growth(self) -> bool:
        """Whether repeats of coalitions of different sizes can tell if small ones are noisier.

        Without them a spread among small coalitions is the game's: they do differ most.
        """
        repeated = np.concatenate([self.growth[self.times > 1], self.audit_growth])
        degrees = (self.times - 1).sum() + self.audit_degrees.sum()
        return bool(len(repeated) and np.ptp(repeated) > 0 and degrees >= GROWTH_DEGREES)

    def some(self, chosen: np.ndarray) -> Evidence:
        """The same with these rows only."""
        parts = {
            name: getattr(self, name)[chosen] for name in ("rows", "values", "times", "scatter", "growth", "trust")
        }
        return Evidence(
            **parts,
            centre=self.centre,
            scale=self.scale,
            audit_variance=self.audit_variance,
            audit_degrees=self.audit_degrees,
            audit_growth=self.audit_growth,
        )


def gather(evaluations: Evaluations, noise: MeasuredNoise | None) -> Evidence:
    """Merge repeats and standardise. Rows come out in one order whatever order they came in."""
    some = evaluations.coalitions.any(axis=1)
    order = np.argsort(evaluations.values[some], kind="stable")  # repeats are summed in one order whatever came first
    coalitions, observed = evaluations.coalitions[some][order], evaluations.values[some][order]
    rows, means, times = distinct(coalitions, observed)
    centre, scale = float(means.mean()), float(means.std())
    if is_constant(means):
        scale = 0.0
    unit = scale or 1.0
    place = {row.tobytes(): index for index, row in enumerate(rows)}
    which = np.array([place[row.tobytes()] for row in coalitions])
    squares = ((observed - means[which]) / unit) ** 2
    scatter = np.bincount(which, weights=squares, minlength=len(rows)).astype(np.float64)
    logs = -np.log(rows.sum(axis=1))
    audit = _audit(noise, unit, float(logs.mean()))
    return Evidence(
        rows=rows.astype(np.float64),
        values=(means - centre) / unit,
        times=times.astype(np.float64),
        scatter=scatter,
        growth=logs - logs.mean(),
        trust=np.ones(len(rows)),
        centre=centre,
        scale=scale,
        audit_variance=audit[:, 0],
        audit_degrees=audit[:, 1],
        audit_growth=audit[:, 2],
    )


def _audit(noise: MeasuredNoise | None, unit: float, usual: float) -> Floats:
    """Variance, degrees of freedom and growth of each class of repeated coalitions: float64[k, 3]."""
    if noise is None:
        return np.zeros((0, 3))
    if noise.by_size:
        found = [(variance / unit**2, degrees, -np.log(size) - usual) for size, variance, degrees in noise.by_size]
    else:
        found = [(noise.variance / unit**2, noise.degrees, 0.0)]
    return np.minimum(np.array(found, dtype=np.float64), [np.inf, KNOWN_DEGREES, np.inf])
