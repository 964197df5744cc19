"""Hyper-parameters by their posterior mode: marginal likelihood times priors, with its gradient by hand.

    -log p(θ | y) = ½ yᵀK⁻¹y + ½ log|K| - log p(repeats | θ) - log p(θ)
    ∂/∂θ          = ½ tr((K⁻¹ - ααᵀ) ∂K/∂θ) - …,   α = K⁻¹y                  (Rasmussen & Williams 2006, equation 5.9)

Repeats of one coalition enter K by their mean; how they scatter around it, and what the audit's replicates measured, is
normal theory's evidence on the noise alone: -½ (ν log σ² + Σ squares / σ²).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from .covariance import Covariance, Space
from .evidence import Evidence
from .hyperparameters import (
    LEVEL_VARIANCE,
    NAMES,
    NOISE_FLOOR,
    PRIOR_MEAN,
    PRIOR_SD,
    Floats,
    Hyperparameters,
    log_prior,
)

MOST_ROWS = 700  # beyond, hyper-parameters are fitted to this many rows drawn by a fixed seed: they change little
MOST_STEPS = 80
AMPLITUDES = ("allocation", "additive", "composition", "data_size", "head_count", "interaction", "rivalry")
REACH = 6.0  # prior s.d.s within which the mode is looked for; beyond, exponentials would overflow


def fit(space: Space, evidence: Evidence, start: Floats | None = None) -> Floats:
    """Posterior mode of the hyper-parameters: float64[11], in the order of NAMES. `start` from an earlier fit."""
    if len(evidence.values) > MOST_ROWS:
        rest = np.random.default_rng(0).permutation(len(evidence.values))[:MOST_ROWS]
        evidence = evidence.some(np.sort(rest))
    first = PRIOR_MEAN.copy() if start is None else start.copy()
    low, high = PRIOR_MEAN - REACH * PRIOR_SD, PRIOR_MEAN + REACH * PRIOR_SD
    untold = moot(space, evidence)
    first[untold] = low[untold] = high[untold] = 0.0
    found = minimize(
        negative_log_posterior,
        first,
        args=(space, evidence),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"maxiter": MOST_STEPS},
    )
    if not (np.isfinite(found.fun) and np.isfinite(found.x).all()):
        raise ValueError("these evaluations cannot be fitted by a Gaussian process: their likelihood is not a number")
    return np.asarray(found.x)


def moot(space: Space, evidence: Evidence) -> NDArray[np.bool_]:
    """Hyper-parameters of which the evidence can tell nothing: a power of unknown sizes, a growth no repeats show."""
    return np.array(
        [
            (name == "size_power" and not space.log_sizes.any())
            or (name == "noise_growth" and not evidence.shows_growth)
            for name in NAMES
        ]
    )


def negative_log_posterior(vector: Floats, space: Space, evidence: Evidence) -> tuple[float, Floats]:
    """-log p(θ | y) up to a constant, and its gradient float64[11]. Costs a Cholesky factor of float64[m, m]."""
    hyper = Hyperparameters.of(vector)
    model = Covariance(space, hyper)
    rows, values = evidence.rows, evidence.values

    z, data, count = model.data_size(rows), model.data_curve(rows), model.count_curve(rows)
    worth, distance = model.shared_worth(rows, rows), model.distance(rows, rows)
    alike = np.exp(-distance)
    noise = evidence.noise(hyper.noise, hyper.noise_growth)
    squared = {name: getattr(hyper, name) ** 2 for name in AMPLITUDES}
    covariance = LEVEL_VARIANCE + squared["allocation"] * np.outer(z, z) + squared["additive"] * worth
    fading = data @ data.T
    covariance += squared["composition"] * fading * worth + squared["data_size"] * fading
    covariance += squared["head_count"] * count @ count.T
    reach = squared["interaction"] + squared["rivalry"] * fading
    covariance += reach * alike
    covariance[np.diag_indices(len(values))] += noise
    try:
        factor = cho_factor(covariance, lower=True, check_finite=False)
    except LinAlgError:
        return 1e25, np.zeros_like(vector)  # the line search steps back
    alpha = cho_solve(factor, values, check_finite=False)
    prior, prior_slope = log_prior(vector)
    repeats, repeats_slope = _repeats(evidence, hyper)
    objective = 0.5 * values @ alpha + np.log(np.diag(factor[0])).sum() - repeats - prior

    # tr(W ∂K) / 2 with W = ααᵀ - K⁻¹: what raising log p(y) by each hyper-parameter gains.
    w = np.outer(alpha, alpha) - cho_solve(factor, np.eye(len(values)), check_finite=False)
    near, worn, faded = w * alike, w * worth, w * fading
    reached = near * reach
    w_rows = w @ rows
    slope = np.zeros_like(vector)
    slope[0] = squared["allocation"] * z @ w @ z
    slope[1] = squared["additive"] * worn.sum()
    slope[2] = squared["composition"] * (faded * worth).sum()
    slope[3] = squared["data_size"] * faded.sum()
    slope[4] = squared["head_count"] * (count * (w @ count)).sum()
    slope[5] = squared["interaction"] * near.sum()
    slope[6] = squared["rivalry"] * (near * fading).sum()
    slope[7] = -0.5 * (reached * distance).sum()
    own = 0.5 * np.diag(w) * noise
    slope[8] = own.sum() * (hyper.noise - NOISE_FLOOR) / hyper.noise
    slope[10] = (own * evidence.growth).sum()

    # By log u_d, then along γ: du_d/dγ = u_d (log size_d - Σ u log size).
    by_allocation = squared["allocation"] * model.allocation * (z @ w_rows)
    by_allocation += squared["additive"] * space.columns * model.allocation**2 * (rows * w_rows).sum(axis=0)
    by_allocation += squared["composition"] * space.columns * model.allocation**2 * (rows * (faded @ rows)).sum(axis=0)
    fall = (squared["data_size"] * w + squared["composition"] * worn + squared["rivalry"] * near) @ data
    by_allocation -= model.allocation * (((data * fall) @ space.rates) @ rows)
    by_allocation -= model.decay * (reached.sum(axis=0) @ rows - (rows * (reached @ rows)).sum(axis=0))
    slope[9] = by_allocation @ (space.log_sizes - model.allocation @ space.log_sizes)
    return float(objective), -(slope + repeats_slope + prior_slope)


def _repeats(evidence: Evidence, hyper: Hyperparameters) -> tuple[float, Floats]:
    """Log likelihood of what repeats scatter, and its gradient float64[11]."""
    growth = np.concatenate([evidence.growth, evidence.audit_growth])
    degrees = np.concatenate([evidence.times - 1, evidence.audit_degrees])
    squares = np.concatenate([evidence.scatter, evidence.audit_degrees * evidence.audit_variance])
    each = hyper.noise * np.exp(hyper.noise_growth * growth)  # variance of one evaluation
    likelihood = -0.5 * (degrees * np.log(each) + squares / each).sum()
    by_log_noise = 0.5 * (squares / each - degrees)
    slope = np.zeros(len(NAMES))
    slope[8] = by_log_noise.sum() * (hyper.noise - NOISE_FLOOR) / hyper.noise
    slope[10] = (by_log_noise * growth).sum()
    return float(likelihood), slope
