"""The process after the evaluations: credits, their covariance, values of coalitions nobody trained, what more would tell.

With Q_i(T) = φ'_i[k(·, T)] and Φ' = Cov(φ', φ') before any evaluation (see `owen`):

    mean  φ'|y = Q K⁻¹ y            covariance  Φ' - Q K⁻¹ Qᵀ

The covariance depends on which coalitions were evaluated, not on their values: that is what designs and forecasts use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from ..validate import Coalitions
from .covariance import Covariance, Space
from .evidence import Evidence
from .hyperparameters import Floats, Hyperparameters
from .owen import Owen


@dataclass(frozen=True)
class Candidates:
    """What coalitions not yet evaluated would tell, in standardised units.

    credits: float64[n, k], their covariance with the credits. own: float64[k, k], with each other. noise: float64[k], of
    one evaluation of each.
    """

    credits: Floats
    own: Floats
    noise: Floats


def _factor(matrix: Floats) -> Floats:
    """Lower Cholesky factor; where rounding has left the matrix indefinite, of one with a little more on the diagonal."""
    for jitter in (0.0, 1e-8, 1e-6):
        try:
            return np.asarray(cholesky(matrix + jitter * np.diag(np.diag(matrix)) if jitter else matrix, lower=True))
        except LinAlgError:
            continue
    raise ValueError("these evaluations cannot be fitted by a Gaussian process: their covariance matrix is singular")


class Posterior:
    """Gaussian process conditioned on evidence at fixed hyper-parameters.

    credits: float64[n], φ' in the property's unit (v(∅) not yet taken off). covariance: float64[n, n] of them.
    inflation: what every variance that is given out is multiplied by; 1 until `widen` is called.
    """

    def __init__(self, space: Space, evidence: Evidence, hyper: Hyperparameters) -> None:
        self.space, self.evidence, self.hyper = space, evidence, hyper
        self.model = Covariance(space, hyper)
        self.owen = Owen(self.model)
        self.prior = self.owen.prior()
        matrix = self.model.between(evidence.rows, evidence.rows)
        matrix[np.diag_indices(len(matrix))] += evidence.noise(hyper.noise, hyper.noise_growth)
        self.factor = _factor(matrix)
        self.whitened_values = self._whiten(evidence.values)
        self.whitened_credits = self._whiten(self.owen.of_rows(evidence.rows).T)  # float64[m, n]
        mean = self.whitened_credits.T @ self.whitened_values
        self.credits = evidence.scale * mean + evidence.centre / space.n_players
        covariance = self.prior - self.whitened_credits.T @ self.whitened_credits
        self._covariance = evidence.scale**2 * (covariance + covariance.T) / 2
        self.inflation = 1.0

    @property
    def covariance(self) -> Floats:
        """Of the credits: float64[n, n]."""
        return self.inflation * self._covariance

    def widen(self, inflation: float) -> None:
        """Multiply all variances given out: the process's errors turned out larger than it believes."""
        self.inflation = inflation

    def predict(self, coalitions: Coalitions) -> tuple[Floats, Floats]:
        """Mean and s.d. of v(S) without the noise of an evaluation: float64[k] each, for bool[k, columns].

        Of ∅ it tells where the curve of trained models leads, which is not where an untrained network lies.
        """
        rows = np.asarray(coalitions, dtype=np.float64)
        whitened = self._whiten(self.model.between(self.evidence.rows, rows))
        mean = self.evidence.centre + self.evidence.scale * (self.whitened_values @ whitened)
        variance = self.model.variance(rows) - (whitened**2).sum(axis=0)
        return mean, self.evidence.scale * np.sqrt(self.inflation * np.maximum(variance, 0))

    def candidates(self, coalitions: Coalitions) -> Candidates:
        """What evaluating bool[k, columns] would tell; a k x k matrix is made."""
        rows = np.asarray(coalitions, dtype=np.float64)
        whitened = self._whiten(self.model.between(self.evidence.rows, rows))
        smallness = -np.log(np.maximum(rows.sum(axis=1), 1)) + np.log(self.evidence.rows.sum(axis=1)).mean()
        return Candidates(
            credits=self.owen.of_rows(rows) - self.whitened_credits.T @ whitened,
            own=self.model.between(rows, rows) - whitened.T @ whitened,
            noise=self.hyper.noise * np.exp(self.hyper.noise_growth * smallness),
        )

    def covariance_with(self, more: Coalitions) -> Floats:
        """Covariance of the credits, float64[n, n], if bool[k, columns] were evaluated as well, hyper-parameters as now."""
        if not len(more):
            return self.covariance
        told = self.candidates(more)
        matrix = told.own + np.diag(told.noise)
        whitened = solve_triangular(cholesky(matrix, lower=True), told.credits.T, lower=True)
        return np.asarray(self.inflation * (self._covariance - self.evidence.scale**2 * whitened.T @ whitened))

    def noise_variance(self) -> float:
        """Of one evaluation of middling size, in squared units of the property."""
        return self.evidence.scale**2 * self.hyper.noise

    def residual_error(self, row: int) -> float:
        """s.d. of observed less fitted value of a fitted row, σ² √[K⁻¹]_ii, in the property's unit."""
        unit = np.zeros(len(self.factor))
        unit[row] = 1.0
        precision = (self._whiten(unit) ** 2).sum()
        noise = self.evidence.noise(self.hyper.noise, self.hyper.noise_growth)[row]
        return float(self.evidence.scale * noise * np.sqrt(self.inflation * precision))

    def _whiten(self, right: Floats) -> Floats:
        return np.asarray(solve_triangular(self.factor, right, lower=True, check_finite=False))
