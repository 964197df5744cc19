"""Weighted least squares for contrasts, and two ways to judge its error.

The two estimators differ in their rows; solving and judging is the same. Rows are (design, target) with a weight and,
optionally, nuisance columns that are projected out (Frisch-Waugh), so that they cost no ridge and no constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernel import contrast_basis

Floats = NDArray[np.float64]
RANK_TOLERANCE = 1e-8
DEGREES_SAMPLED = 16  # Satterthwaite's number is near the same for all players: the median of these many will do


@dataclass(frozen=True)
class Fit:
    """contrasts: float64[n], sums to zero. influence: float64[rows, n], contrasts = influenceᵀ · (√weight · target).

    residuals, leverage: float64[rows], both of the rows scaled by √weight. hat: orthonormal basis of all columns,
    float64[rows, rank]. weights: float64[rows].
    """

    contrasts: Floats
    influence: Floats
    residuals: Floats
    leverage: Floats
    hat: Floats
    weights: Floats

    @property
    def slack(self) -> Floats:
        """1 - leverage, kept off zero: the share of a row's error that its residual still shows."""
        return np.maximum(1 - self.leverage, 1e-9)

    @property
    def residual_degrees(self) -> float:
        """Rows left over after everything was fitted."""
        return float(len(self.weights) - self.hat.shape[1])


def orthonormal(columns: Floats) -> Floats:
    """Orthonormal basis of the column space, dependent columns dropped: float64[rows, rank]."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > RANK_TOLERANCE * max(singular.max(initial=0.0), 1e-300)])


def solve(design: Floats, target: Floats, weights: Floats, nuisance: Floats | None = None) -> Fit | None:
    """Fit contrasts in the Helmert basis: design float64[rows, n-1], target and weights float64[rows],
    nuisance float64[rows, any]. None where some contrast is not identified."""
    root = np.sqrt(weights)[:, None]
    free = orthonormal(nuisance * root) if nuisance is not None else np.zeros((len(target), 0))
    scaled = design * root
    scaled = scaled - free @ (free.T @ scaled)
    left = target * root[:, 0]
    left = left - free @ (free.T @ left)
    if len(scaled) < scaled.shape[1]:
        return None
    singular = np.linalg.svd(scaled, compute_uv=False)
    # Relative to the rows before projection: what the nuisance explains fully leaves rounding, not information.
    if singular[-1] <= RANK_TOLERANCE * max(float(np.linalg.norm(design * root)), 1e-300):
        return None
    basis, triangle = np.linalg.qr(scaled)
    influence = basis @ np.linalg.solve(triangle.T, contrast_basis(design.shape[1] + 1).T)
    hat = np.concatenate([free, basis], axis=1)
    return Fit(
        contrasts=influence.T @ left,
        influence=influence,
        residuals=left - basis @ (basis.T @ left),
        leverage=(hat**2).sum(axis=1),
        hat=hat,
        weights=weights,
    )


def robust_covariance(fit: Fit) -> tuple[Floats, float]:
    """HC3 sandwich (MacKinnon & White 1985) and its degrees of freedom (Satterthwaite, as in Bell & McCaffrey 2002).

    Trusts no model of the errors; right where their spread differs much from row to row. Returns NaN and 0 where no
    row is left over.
    """
    n_players = fit.influence.shape[1]
    if fit.residual_degrees < 1:
        return np.full((n_players, n_players), np.nan), 0.0
    covariance = (fit.influence.T * (fit.residuals / fit.slack) ** 2) @ fit.influence
    found = []
    for player in range(0, n_players, max(1, n_players // DEGREES_SAMPLED)):
        share = fit.influence[:, player] ** 2 / fit.slack**2
        mean = (share * (1 - fit.leverage)).sum()
        crossed = (fit.hat * share[:, None]).T @ fit.hat
        square = (share**2 * (1 - 2 * fit.leverage)).sum() + (crossed**2).sum()
        if mean > 0 and square > 0:
            found.append(mean**2 / square)
    degrees = float(np.median(found)) if found else fit.residual_degrees
    return covariance, float(np.clip(degrees, 1.0, fit.residual_degrees))


def pooled_variances(fit: Fit, groups: NDArray[np.int64], judged: NDArray[np.bool_], prior_degrees: float) -> Floats:
    """Error variance of each row at weight 1, one for each group, shrunk toward that of all judged rows.

    HC3 spends its few degrees of freedom on one variance a row; sharing within a group (a coalition size) keeps what
    really differs and gives most of them back. Returns float64[rows]; needs at least one residual degree of freedom.
    """
    squares = fit.residuals**2 / fit.weights
    overall = squares[judged].sum() / fit.slack[judged].sum()
    variances = np.empty(len(squares))
    for group in np.unique(groups):
        rows = groups == group
        variances[rows] = (squares[rows].sum() + prior_degrees * overall) / (fit.slack[rows].sum() + prior_degrees)
    return variances
