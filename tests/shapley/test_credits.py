"""Intervals, probabilities, shares, and what is said when the input cannot be used."""

import numpy as np
import pytest

from tasks.shapley import Credits, MeasuredNoise, UnidentifiedError, estimate_credits, propose_coalitions
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


def test_no_rows_left_over_means_nothing_is_known_about_the_error():
    # Three players, only the single ones: credits follow, but nothing is left to judge them by.
    rows = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=bool)
    credits = estimate_credits(rows, [0.0, 1.0, 2.0, 3.0, 6.0])
    assert np.allclose(credits.values, [1, 2, 3])
    low, high = credits.interval(0.9)
    assert np.all(low == -np.inf) and np.all(high == np.inf)
    assert np.all(credits.probability_greater() == 0.5)
    assert credits.low_budget


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


def test_unusable_evaluations_are_refused_by_name():
    rows = propose_coalitions(6, 40, seed=0)
    values = np.random.default_rng(0).random(40)
    broken = values.copy()
    broken[7] = np.nan
    cases = [
        (rows, broken, "row 7, nan"),
        (rows, np.where(np.arange(40) == 3, np.inf, values), "row 3, inf"),
        (rows[rows.any(axis=1)], values[1:], "empty coalition"),
        (rows[~rows.all(axis=1)], values[1:], "grand coalition"),
        (rows[2:], values[2:], "empty coalition.*grand coalition"),
        (rows, values[:-1], r"shape \(39,\), but there are 40"),
        (rows.astype(int), values, "boolean, not int64"),
        (rows[0], values[:6], "one row an evaluation"),
        (rows[:, :1], values, "at least 2"),
    ]
    for coalitions, given, message in cases:
        with pytest.raises(ValueError, match=message):
            estimate_credits(coalitions, given)
    with pytest.raises(ValueError, match="unknown estimator 'gp2'; there are: default, kernelshap, kernelshap_sizes, ridge_odd"):
        estimate_credits(rows, values, estimator="gp2")
    with pytest.raises(ValueError, match="noise must be a MeasuredNoise"):
        estimate_credits(rows, values, noise=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite and not negative"):
        MeasuredNoise(-1.0)
    with pytest.raises(ValueError, match="degrees of freedom"):
        MeasuredNoise(1.0, 0)
    with pytest.raises(ValueError, match="sizes must be positive"):
        estimate_credits(rows, values, sizes=np.zeros(6))


@pytest.mark.parametrize("budget", [2, 3, 8, 20])
def test_too_few_evaluations_are_refused_with_the_number_that_would_do(budget):
    rows = propose_coalitions(20, budget, seed=0)
    with pytest.raises(UnidentifiedError, match="plan for at least 60"):
        estimate_credits(rows, np.arange(float(budget)))


@pytest.mark.parametrize("n_players", [2, 3, 100, 300])
def test_few_and_many_players_work(n_players):
    rows = propose_coalitions(n_players, min(2**n_players, 3 * n_players), seed=0)
    weights = np.linspace(0, 1, n_players)
    credits = estimate_credits(rows, rows @ weights)
    assert np.allclose(credits.values, weights, atol=1e-8)
