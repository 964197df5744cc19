"""Do the process's own errors bear out its intervals? Left-out rows tell, and widen them where they do not.

A process is a model, and where a game is not one of its kind (a threshold, an entropy) credits err by more than their
posterior says. Each row's residual against the process given all other rows is an error of the same kind, of which we know
the truth. Standardised, their mean square should be 1 not only over all rows but among those that matter for the credits:

    κ² = Σ_T ω_T z_T² / Σ_T ω_T,    ω_T = Σ_i W_Ti² / [K⁻¹]_TT,    W = K⁻¹ Qᵀ centred over players

W_Ti is how much row T's value moves credit i, 1/[K⁻¹]_TT the variance of its left-out residual; so ω_T is the row's share in
the variance of the credits. κ² is itself measured from few rows, so its upper 90 % limit (chi-squared, by their effective
number) is used, and it never narrows an interval. What it gains in coverage is in docs/estimators.md.
"""

from __future__ import annotations

from scipy.linalg import solve_triangular
from scipy.stats import chi2

from .posterior import Posterior
from .tails import leave_one_out

CAUTION = 0.1  # the true factor is above the one used with at most this probability


def inflation(posterior: Posterior) -> float:
    """By how much to multiply the credits' covariance: at least 1."""
    residuals, precision = leave_one_out(posterior)
    pull = solve_triangular(posterior.factor, posterior.whitened_credits, lower=True, trans="T", check_finite=False)
    pull -= pull.mean(axis=1, keepdims=True)
    share = (pull**2).sum(axis=1) / precision
    if share.sum() <= 0:
        return 1.0
    factor = (share * residuals**2).sum() / share.sum()
    rows = share.sum() ** 2 / (share**2).sum()
    return float(max(1.0, factor * rows / chi2.ppf(CAUTION, rows)))
