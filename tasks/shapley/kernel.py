"""The Shapley kernel: how much each coalition size weighs in a credit.

Everything in this step that draws or weights coalitions takes its masses from here, so that designs and estimators
cannot disagree about them. Source: Charnes et al. 1988; Lundberg & Lee 2017, theorem 2; Covert & Lee 2021, section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def size_masses(n_players: int) -> NDArray[np.float64]:
    """Share of the Shapley kernel's mass on each coalition size: p(s) ∝ 1 / (s (n - s)) for 0 < s < n.

    Returns float64[n_players + 1], sums to one. Sizes 0 and n hold none: their kernel weight is infinite, and
    estimators meet those two rows exactly instead. Needs n_players >= 2.
    """
    sizes = np.arange(1, n_players)
    masses = np.zeros(n_players + 1)
    masses[1:-1] = 1.0 / (sizes * (n_players - sizes))
    return masses / masses.sum()


def contrast_basis(n_players: int) -> NDArray[np.float64]:
    """Orthonormal basis of the credits that sum to zero (Helmert contrasts): float64[n_players, n_players - 1].

    Excess credits live in this space; working in it makes the efficiency constraint exact instead of approximate.
    """
    basis = np.zeros((n_players, n_players - 1))
    for column in range(n_players - 1):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
    return basis / np.linalg.norm(basis, axis=0)
