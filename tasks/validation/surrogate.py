"""SurrogateSHAP's estimator on our ledger: boosted trees stand in for the game, and their Shapley values for the credits.

Source: the idea of arXiv 2601.22276 (2026); written from the description alone. What is compared is its estimator: values
of coalitions come from our evaluations, where SurrogateSHAP has a realisation of coalitions of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tasks.shapley.validate import check_evaluations

from .checks import Floats
from .trees import Ensemble, boost


def fit_surrogate(
    coalitions: ArrayLike,
    values: ArrayLike,
    *,
    trees: int = 100,
    depth: int = 3,
    rate: float = 0.1,
    penalty: float = 1.0,
) -> Ensemble:
    """Trees fitted to all evaluations but those of nobody.

    coalitions: bool[m, n], the empty and the grand one among them; values: float[m], more is better. The empty one is kept
    out: an untrained network can lie hundreds of standard deviations off, and every tree would be spent on it. Of equal
    coalitions each counts. Values are scaled by their s.d. meanwhile, so that nothing depends on the unit.
    """
    evaluations = check_evaluations(coalitions, values, None)
    some = evaluations.coalitions.any(axis=1)
    rows, known = evaluations.coalitions[some], evaluations.values[some]
    centre, scale = float(known.mean()), float(known.std()) or 1.0
    fitted = boost(rows, (known - centre) / scale, trees=trees, depth=depth, rate=rate, penalty=penalty)
    return Ensemble(centre + scale * fitted.base, fitted.present, fitted.absent, scale * fitted.weights)


def surrogate_credits(coalitions: ArrayLike, values: ArrayLike) -> Floats:
    """Credits float64[n]: the trees' Shapley values, with what their sum lacks to v(N) - v(∅) spread evenly.

    Arguments as of `fit_surrogate`. The even spread moves no contrast: the trees never saw v(∅), so it is most of the gap.
    """
    ensemble = fit_surrogate(coalitions, values)
    evaluations = check_evaluations(coalitions, values, None)
    credits = ensemble.shapley()
    return np.asarray(credits - credits.mean() + (evaluations.grand - evaluations.empty) / evaluations.n_players)
