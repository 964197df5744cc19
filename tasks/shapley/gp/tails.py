"""Outliers: a few rows that are wild are believed less.

A wild row is given a noise of its own: a Student t is a Gaussian whose variance is itself drawn, σ²/λ with λ ~ Gamma(ν/2,
ν/2). Given the residuals, the expected λ is (ν + 1) / (ν + E[ε²]/σ²), one round of expectation-maximisation (Lange, Little
& Taylor 1989).

Only for gross errors, and only where they are few. Noise that is heavy-tailed throughout (t₃) needs nothing: measured at
n = 12 and 20 with 30 % of it, a Gaussian process has the same error without this, and better coverage. And a game with steps
has residuals as long-tailed as t₃ noise: those rows are the game, and must not be explained away. What tells a wild row is
a fourth moment that neither of them reaches, and that hardly any row loses its trust.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from .hyperparameters import Floats
from .posterior import Posterior

DEGREES = 3.0  # ν: heavy enough that one wild row in fifty does no harm
KURTOSIS = 9.0  # of left-out residuals; normal ones have 3, games with steps and t₃ noise 4 to 10, wild rows 10 to 35
DISTRUST = 0.25  # a row with less trust counts as wild
FEW = 0.03  # share of rows that may be


def leave_one_out(posterior: Posterior) -> tuple[Floats, Floats]:
    """Residual of each row against the process given all the others, standardised, and diag K⁻¹: float64[m] each.

    α_i / √[K⁻¹]_ii (Rasmussen & Williams 2006, section 5.4.2).
    """
    inverse = solve_triangular(posterior.factor, np.eye(len(posterior.factor)), lower=True, check_finite=False)
    diagonal = (inverse**2).sum(axis=0)
    alpha = inverse.T @ posterior.whitened_values
    return alpha / np.sqrt(diagonal), diagonal


def has_outliers(residuals: Floats) -> bool:
    """Whether standardised left-out residuals, float64[m], have a fourth moment that only single wild rows explain."""
    return bool((residuals**4).mean() > KURTOSIS * (residuals**2).mean() ** 2)


def are_few(trust: Floats) -> bool:
    """Whether some rows are distrusted, and so few that they are errors and not a part of the game."""
    wild = (trust < DISTRUST).mean()
    return bool(0 < wild <= FEW)


def trusts(posterior: Posterior) -> Floats:
    """Expected λ of each row, float64[m]: about 1 for ordinary rows, toward 0 for wild ones."""
    evidence, hyper = posterior.evidence, posterior.hyper
    residuals, diagonal = leave_one_out(posterior)
    noise = evidence.noise(hyper.noise, hyper.noise_growth)
    full = noise * evidence.trust  # of a row that is trusted in full
    expected = noise - noise**2 * diagonal + noise**2 * residuals**2 * diagonal  # E[ε²] = Var + mean²
    return np.asarray((DEGREES + 1) / (DEGREES + expected / full))
