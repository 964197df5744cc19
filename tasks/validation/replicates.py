"""Credits as they would have been had the study made other evaluations: for intervals over the study's own chance.

    resampled_evaluations ─▶ rows of the ledger ─▶ any estimator, once each ─▶ replicates float64[b, n] ─▶ lds
    drawn_credits         ─▶ from an estimator's own covariance, without estimating again ─▶ the same

Spread of replicates over the true spread from study to study (12 contributors, 100 evaluations, noise of half a s.d., two
games): resampling 1.0-1.3 for the default estimator and 1.0-1.05 for the paper's, 1.7-1.9 for boosted trees (cautious);
drawing 1.0-1.2. Samples of half the evaluations were worse (1.1-2.6), so there are none here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.shapley.validate import check_coalitions

from .checks import Floats, check_credits, check_whole


def resampled_evaluations(coalitions: ArrayLike, count: int, *, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers of `count` bootstrap resamples of a study's evaluations: int64[k] each.

    coalitions: bool[m, n]. All rows of ∅ and N are in every resample, for no estimator does without them. The others are
    drawn with replacement, each coalition together with its complement and with its repeats where they were evaluated:
    designs propose pairs, and estimators that use them would lose half of what they have to single rows.
    """
    rows = check_coalitions(coalitions)
    inside = np.flatnonzero(rows.any(axis=1) & ~rows.all(axis=1))
    ends = np.setdiff1d(np.arange(len(rows)), inside)
    if not len(inside):
        raise ValueError("there are no evaluations but those of nobody and of everybody, so nothing to resample")
    proper = rows[inside]
    _, pair = np.unique(np.where(proper[:, :1], ~proper, proper), axis=0, return_inverse=True)
    order = np.argsort(pair.ravel(), kind="stable")
    groups = np.split(inside[order], np.cumsum(np.bincount(pair.ravel()))[:-1])
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(groups), size=(check_whole(count, 1, "count"), len(groups)))
    return [np.concatenate([ends, *(groups[k] for k in pick)]) for pick in picks]


def drawn_credits(credits: ArrayLike, covariance: ArrayLike, count: int, *, seed: int) -> Floats:
    """float64[count, n] normal draws around credits float[n] with an estimator's covariance float[n, n].

    ValueError where the covariance is not known (NaN) or is none (not symmetric, negative variances).
    """
    centre = np.asarray(credits, dtype=np.float64)
    centre = check_credits(centre, centre.size)
    spread = np.asarray(covariance, dtype=np.float64)
    if spread.shape != (len(centre), len(centre)) or not np.isfinite(spread).all():
        raise ValueError(
            f"covariance must be a finite table of {len(centre)} x {len(centre)}; this estimator knows none"
        )
    variances, axes = np.linalg.eigh((spread + spread.T) / 2)
    tolerance = 1e-8 * max(float(np.abs(variances).max()), 1e-300)
    if variances.min() < -tolerance or np.abs(spread - spread.T).max() > tolerance:
        raise ValueError("covariance must be symmetric, without negative variances")
    normal = np.random.default_rng(seed).standard_normal((check_whole(count, 1, "count"), len(centre)))
    return np.asarray(centre + (normal * np.sqrt(np.maximum(variances, 0))) @ axes.T)
