"""Credits by the definition, where every coalition was evaluated.

With all 2^n values nothing is estimated, so no estimator is asked: least squares on the full table would need the
kernel's weights to be right, the definition does not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from .estimate import Estimate
from .noise import MeasuredNoise
from .surrogates import Table, row_numbers
from .validate import Evaluations, distinct


def is_complete(evaluations: Evaluations) -> bool:
    """Whether all 2^n coalitions of the present players are there."""
    n, rows = evaluations.n_players, evaluations.own().coalitions
    if n > 30 or len(rows) < 2**n:
        return False
    return len(np.unique(np.packbits(rows, axis=1), axis=0)) == 2**n


def shapley_functional(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Coefficients L with φ = L v for a complete table: float64[n, 2^n].

    φ_i = Σ_S v(S) · (1 / (n C(n-1, |S|-1)) if i ∈ S else -1 / (n C(n-1, |S|)))  (Shapley 1953).
    The empty row's coefficient is -1/n for every player: its value and its noise move the level, no contrast.
    """
    n = coalitions.shape[1]
    size = coalitions.sum(axis=1)
    log_weight = gammaln(size + 1.0) + gammaln(np.maximum(n - size, 0) + 1.0) - gammaln(n + 1.0)  # 1 / C(n, s)
    inverse_comb = np.exp(log_weight)
    inside = np.divide(inverse_comb, size, where=size > 0, out=np.zeros(len(size)))
    outside = np.divide(inverse_comb, n - size, where=size < n, out=np.zeros(len(size)))
    return np.where(coalitions.T, inside, -outside)


def definition(evaluations: Evaluations, noise: MeasuredNoise | None) -> Estimate:
    """Exact credits of a complete table.

    The covariance is with respect to which coalitions were drawn, and all were: it is zero. What the noise of each
    evaluation does cannot be seen in a table without replicates; given `noise`, its cautious variance σ² goes through the
    linear functional, covariance = σ² L Lᵀ. Repeated rows are averaged, but not counted as independent: one ledger
    record may be there twice. Rows with former players are not used.
    """
    own = evaluations.own()
    rows, values, _ = distinct(own.coalitions, own.values)
    functional = shapley_functional(rows)
    # The two ends only set the level; kept apart, a baseline far off costs the contrasts no digits.
    size = rows.sum(axis=1)
    inner = (size > 0) & (size < rows.shape[1])
    contrast = functional[:, inner] @ (values[inner] - values[inner].mean())
    level = (own.grand - own.empty) / own.n_players
    variance = noise.cautious_variance if noise else 0.0
    table = np.empty(len(values))
    table[row_numbers(rows)] = values
    return Estimate(
        contrast - contrast.mean() + level,
        variance * functional @ functional.T,
        np.inf,
        surrogate=Table(evaluations.present, table, math.sqrt(variance)),
    )
