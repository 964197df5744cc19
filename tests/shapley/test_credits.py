"""Intervals, probabilities, shares, and what is said when the input cannot be used."""

import numpy as np
import pytest

from tasks.shapley import Credits, estimate_credits, propose_coalitions
from tests.games import family
from tests.shapley.coverage import METHODS, measure

BY_NAME = {method.name: method for method in METHODS}


def some_credits(values, covariance=None, degrees=np.inf, grand=1.0, empty=0.0):
    n = len(values)
    covariance = np.zeros((n, n)) if covariance is None else covariance
    return Credits(np.array(values, float), covariance, degrees, grand, empty, 100, "kernelshap_sizes")


@pytest.mark.parametrize(
    ("name", "n_players", "budget", "noise", "low", "high"),
    [
        # Additive games are noise only: there nominal is met. With interactions the balanced design errs less than its
        # residuals show, so the mean over games is above nominal.
        ("default", 8, 64, 0.3, 0.90, 0.99),
        ("default", 12, 64, 0.2, 0.88, 0.98),
        ("default, noise variance known", 10, 100, 0.2, 0.89, 0.99),
        ("default, 10 % failed", 8, 100, 0.2, 0.88, 0.99),
        ("kernelshap_sizes on iid rows", 10, 100, 0.2, 0.87, 0.98),
        ("kernelshap (the paper's)", 8, 64, 0.2, 0.88, 1.0),
    ],
)
def test_nine_of_ten_intervals_hold_the_true_excess_credit(name, n_players, budget, noise, low, high):
    games = measure(BY_NAME[name], n_players, budget, noise, repeats=8, seed=100)
    covered = np.array([score.coverage for score in games.values()])
    assert low <= covered.mean() <= high
    assert covered.min() > 0.8
    assert max(score.spurious for score in games.values()) < 0.02


def test_default_separates_top_from_bottom_third_where_the_papers_estimator_cannot():
    ours = measure(BY_NAME["default"], 8, 64, 0.2, repeats=6, seed=7)
    paper = measure(BY_NAME["kernelshap (the paper's)"], 8, 64, 0.2, repeats=6, seed=7)
    assert np.mean([score.separated for score in ours.values()]) > 0.9
    assert np.mean([score.separated for score in paper.values()]) < 0.2
    for name, score in ours.items():
        assert score.width < 0.2 * paper[name].width


def test_intervals_of_credits_also_hold_the_noise_of_the_two_ends():
    game = family(8, 3)[0]
    rows = propose_coalitions(8, 64, seed=0)
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(80):
        credits = estimate_credits(rows, game.value(rows) + 0.05 * rng.standard_normal(64))
        low, high = credits.interval(0.9)
        covered.append((low <= game.credits) & (game.credits <= high))
    assert 0.86 < np.mean(covered) < 0.94


def test_probabilities_complement_each_other_and_follow_the_t_distribution():
    covariance = np.diag([0.01, 0.01, 0.04])
    normal = some_credits([0.5, 0.3, 0.2], covariance)
    probability = normal.probability_greater()
    assert np.allclose(probability + probability.T, 1)
    assert np.isclose(probability[0, 1], 0.9214, atol=1e-4)  # Φ(0.2 / √0.02)
    few = some_credits([0.5, 0.3, 0.2], covariance, degrees=3.0)
    assert 0.5 < few.probability_greater()[0, 1] < probability[0, 1]
    assert np.all(few.interval(0.9)[1] > normal.interval(0.9)[1])


def test_without_spread_order_is_certain_and_ties_are_even():
    probability = some_credits([0.5, 0.3, 0.3]).probability_greater()
    assert probability.tolist() == [[0.5, 1, 1], [0, 0.5, 0.5], [0, 0.5, 0.5]]


def test_excess_is_what_is_above_an_equal_share():
    covariance = np.full((3, 3), 5.0) + np.diag([1.0, 1.0, 1.0])
    credits = some_credits([3.0, 2.0, 1.0], covariance)
    assert np.allclose(credits.excess, [1, 0, -1])
    assert np.allclose(credits.excess_covariance, np.eye(3) - 1 / 3)


def test_shares_clip_negative_credits_or_say_why_there_are_none():
    shares, reason = some_credits([0.6, -0.2, 0.2]).shares()
    assert reason is None and np.allclose(shares, [0.75, 0, 0.25])
    shares, reason = some_credits([0.6, -0.2, 0.2], grand=0.0, empty=0.0).shares()
    assert shares is None and "no better than the baseline" in reason
    shares, reason = some_credits([-0.1, -0.2, 0.0]).shares()
    assert shares is None and "above zero" in reason


@pytest.mark.parametrize("level", [0.0, 1.0, 90])
def test_levels_that_are_no_probability_are_refused(level):
    with pytest.raises(ValueError, match="level"):
        some_credits([1.0, 2.0]).interval(level)
