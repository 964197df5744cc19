"""Outliers: when the noise of evaluations has heavy tails, rows far off are believed less.

The noise of a row is then a Student t, which is a Gaussian whose variance is itself drawn: variance σ²/λ with λ ~ Gamma(ν/2,
ν/2). Given the residuals, the expected λ is (ν + 1) / (ν + E[ε²]/σ²), one round of expectation-maximisation (Lange, Little
& Taylor 1989). It is done only where the rows themselves show it, for under Gaussian noise it would cost information.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular

from .hyperparameters import Floats
from .posterior import Posterior

DEGREES = 3.0  # ν: heavy enough that one wild row in fifty does no harm
ROWS = 20  # fewer residuals show no tail
MARGIN = 3.0  # log likelihood by which the t must be better before it is believed


def leave_one_out(posterior: Posterior) -> tuple[Floats, Floats]:
    """Residual of each row against the process given all the others, standardised, and diag K⁻¹: float64[m] each.

    α_i / √[K⁻¹]_ii (Rasmussen & Williams 2006, section 5.4.2).
    """
    inverse = solve_triangular(posterior.factor, np.eye(len(posterior.factor)), lower=True, check_finite=False)
    diagonal = (inverse**2).sum(axis=0)
    alpha = inverse.T @ posterior.whitened_values
    return alpha / np.sqrt(diagonal), diagonal


def is_heavy(residuals: Floats) -> bool:
    """Whether a t with 3 degrees of freedom describes standardised residuals clearly better than a normal law does."""
    if len(residuals) < ROWS:
        return False
    normal = stats.norm.logpdf(residuals, scale=np.sqrt((residuals**2).mean())).sum()
    scales = np.sqrt((residuals**2).mean()) * np.geomspace(0.2, 1.2, 25)
    heavy = max(stats.t.logpdf(residuals, DEGREES, scale=scale).sum() for scale in scales)
    return bool(heavy > normal + MARGIN)


def trusts(posterior: Posterior) -> Floats:
    """Expected λ of each row, float64[m]: about 1 for ordinary rows, toward 0 for wild ones."""
    evidence, hyper = posterior.evidence, posterior.hyper
    residuals, diagonal = leave_one_out(posterior)
    noise = evidence.noise(hyper.noise, hyper.noise_growth)
    full = noise * evidence.trust  # of a row that is trusted in full
    expected = noise - noise**2 * diagonal + noise**2 * residuals**2 * diagonal  # E[ε²] = Var + mean²
    return np.asarray((DEGREES + 1) / (DEGREES + expected / full))
