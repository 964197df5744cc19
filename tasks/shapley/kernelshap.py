"""The paper's estimator, exactly: unweighted constrained least squares on coalitions drawn from the Shapley kernel.

Source: Lin et al. 2025 (ICLR), section 3; Covert & Lee 2021, equation 7:

    β = Â⁻¹ (b̂ - 1 (1ᵀÂ⁻¹b̂ - v(N) + v(∅)) / (1ᵀÂ⁻¹1)),  Â = mean of 1_S 1_Sᵀ,  b̂ = mean of 1_S (v(S) - v(∅))

It is unweighted because the draw follows the kernel already, so a coalition drawn twice counts twice. The one thing not
kept is what the released code does when Â has no inverse: it returns the minimum-norm answer, we refuse.
"""

from __future__ import annotations

import math

import numpy as np

from .estimate import Estimate
from .kernel import contrast_basis
from .least_squares import robust_covariance, solve
from .noise import MeasuredNoise
from .surrogates import SizeSurrogate, residual_sd
from .validate import Evaluations, Floats, UnidentifiedError


def kernelshap(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Paper's credits with an HC3 covariance over the drawn coalitions.

    Solved in the space of credits that satisfy efficiency, where the formula above is ordinary least squares of
    v(S) - v(∅) - (v(N) - v(∅)) |S|/n on the centred rows. Rows of one coalition, and of a coalition and its complement,
    share errors (their regressors differ by sign only): they enter as one row of added weight, which leaves β as it is.
    The covariance is over coalitions; v(N) and v(∅) are taken as they are, unless `noise` tells their variance.
    Rows with former players are not used.
    UnidentifiedError where the rows do not determine every credit.
    """
    rows, values = evaluations.proper()
    n = evaluations.n_players
    share = rows.sum(axis=1) / n
    rise = evaluations.grand - evaluations.empty
    target = values - evaluations.empty - rise * share

    sign = np.where(rows[:, 0], -1.0, 1.0)  # of each pair, the half without player 0 is the one that is kept
    names, pair = np.unique(np.where(rows[:, :1], ~rows, rows), axis=0, return_inverse=True)
    pair = pair.ravel()
    weights = np.bincount(pair, minlength=len(names)).astype(np.float64)
    design = (names - names.mean(axis=1, keepdims=True)) @ contrast_basis(n)
    of_pairs = np.bincount(pair, weights=sign * target, minlength=len(names)) / np.maximum(weights, 1)

    fit = solve(design, of_pairs, weights)
    if fit is None:
        raise UnidentifiedError(
            f"kernelshap cannot tell {n} credits apart from {len(rows)} evaluations besides the empty and the grand "
            f"one ({len(names)} different pairs); it needs at least {n - 1} different ones, and many more to be of use"
        )
    covariance, degrees = robust_covariance(fit)
    if noise is not None:
        covariance = covariance + ends_covariance(fit.influence, weights, pair, sign, share, noise.cautious_variance)
    centred = rows - share[:, None]
    rest = np.full(n + 1, residual_sd(target - centred @ fit.contrasts, n - 1))
    rest[[0, n]] = math.sqrt(noise.cautious_variance) if noise else 0.0
    surrogate = SizeSurrogate(
        evaluations.present, evaluations.empty + rise * np.arange(n + 1) / n, fit.contrasts, covariance, rest
    )
    return Estimate(fit.contrasts + rise / n, covariance, degrees, surrogate=surrogate)


def ends_covariance(
    influence: Floats, weights: Floats, pair: np.ndarray, sign: Floats, share: Floats, variance: float
) -> Floats:
    """What the noise of v(∅) and v(N) does: here it moves contrasts too, as both are subtracted from every row."""
    n = influence.shape[1]
    times = np.maximum(weights, 1)
    root = np.sqrt(weights)
    of_empty = np.bincount(pair, weights=-sign * (1 - share), minlength=len(weights)) / times
    of_grand = np.bincount(pair, weights=-sign * share, minlength=len(weights)) / times
    empty = influence.T @ (root * of_empty) - 1 / n
    grand = influence.T @ (root * of_grand) + 1 / n
    return np.asarray(variance * (np.outer(empty, empty) + np.outer(grand, grand)))
