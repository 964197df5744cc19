"""Resamples of a study keep its ends and its pairs; draws have the covariance they are given."""

import numpy as np
import pytest

from tasks.shapley import estimate_credits, propose_coalitions
from tasks.validation.replicates import drawn_credits, resampled_evaluations
from tests.games import build


def test_ends_are_always_there_pairs_and_repeats_stay_together_and_all_is_drawn_equally_often():
    rows = propose_coalitions(8, 42, seed=0)
    rows = np.concatenate([rows, rows[[0, 5]]])  # N and another one evaluated twice
    drawn = resampled_evaluations(rows, 800, seed=1)
    times = np.array([np.bincount(chosen, minlength=44) for chosen in drawn])
    ends = rows.all(axis=1) | ~rows.any(axis=1)
    assert (times[:, ends] == 1).all()
    assert np.abs(times[:, ~ends].mean(axis=0) - 1).max() < 0.2
    for first in np.flatnonzero(~ends):
        other = np.flatnonzero((rows == ~rows[first]).all(axis=1) | (rows == rows[first]).all(axis=1))
        assert len(other) >= 2 and (times[:, other] == times[:, [first]]).all()
    assert all((a == b).all() for a, b in zip(drawn, resampled_evaluations(rows, 800, seed=1), strict=True))
    with pytest.raises(ValueError, match="nothing to resample"):
        resampled_evaluations(np.array([[True, True], [False, False]]), 3, seed=0)


def test_resampled_credits_spread_about_as_those_of_other_studies_do():
    game, rng = build("class coverage", 10, 1), np.random.default_rng(0)

    def study(seed):
        rows = propose_coalitions(10, 120, seed=seed, design="kernelshap")
        return rows, game.value(rows) + 0.2 * rng.standard_normal(120)

    def excess(rows, values):
        return estimate_credits(rows, values, estimator="kernelshap").excess

    actual = np.array([excess(*study(seed)) for seed in range(60)]).var(axis=0).mean()
    found = []
    for seed in range(60, 64):
        rows, values = study(seed)
        again = [excess(rows[k], values[k]) for k in resampled_evaluations(rows, 40, seed=seed)]
        found.append(np.var(again, axis=0).mean())
    assert np.sqrt(np.mean(found) / actual) == pytest.approx(1.05, abs=0.25)


def test_draws_have_the_mean_and_the_covariance_they_are_asked_for_singular_ones_too():
    covariance = np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])  # contrasts only
    drawn = drawn_credits([1, 2, 3], covariance, 20_000, seed=0)
    assert np.allclose(drawn.mean(axis=0), [1, 2, 3], atol=0.05)
    assert np.allclose(np.cov(drawn.T), covariance, atol=0.1)
    assert np.allclose(drawn.sum(axis=1), 6)
    with pytest.raises(ValueError, match="knows none"):
        drawn_credits([1, 2], np.full((2, 2), np.nan), 3, seed=0)
    with pytest.raises(ValueError, match="negative variances"):
        drawn_credits([1, 2], [[1, 2], [2, 1]], 3, seed=0)
