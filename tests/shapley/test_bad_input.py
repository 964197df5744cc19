"""What cannot be used is refused in words; what can be answered all the same is answered as documented."""

import numpy as np
import pytest

from tasks.shapley import MeasuredNoise, UnidentifiedError, estimate_credits, propose_coalitions
from tasks.shapley.kernelshap_sizes import independent_rows
from tests.games import additive, all_coalitions
from tests.shapley.every_estimator import EVERY_DRAW, FREE_OF_BASELINE, NAMES, design, tolerance, wavy


@pytest.mark.parametrize("name", NAMES)
def test_unusable_evaluations_are_refused_by_name(name):
    rows = propose_coalitions(6, 40, seed=0)
    values = np.random.default_rng(0).random(40)
    cases = [
        (rows, np.where(np.arange(40) == 7, np.nan, values), "row 7, nan.*leave out evaluations that failed"),
        (rows, np.where(np.arange(40) == 3, np.inf, values), "row 3, inf"),
        (rows[rows.any(axis=1)], values[1:], "empty coalition"),
        (rows[~rows.all(axis=1)], values[1:], "grand coalition"),
        (rows[2:], values[2:], "empty coalition.*grand coalition"),
        (rows[:0], values[:0], "empty coalition.*grand coalition"),
        (rows, values[:-1], r"shape \(39,\), but there are 40"),
        (rows, values[:, None], r"shape \(40, 1\), but there are 40"),
        (rows.astype(int), values, "boolean, not int64"),
        (rows[0], values[:6], "one row an evaluation"),
        (rows[:, :1], values, "at least 2"),
        (rows[:, :0], values, "at least 2"),
    ]
    for coalitions, given, message in cases:
        with pytest.raises(ValueError, match=message):
            estimate_credits(coalitions, given, estimator=name)
    for sizes in (np.zeros(6), [1, 1, 1, 1, 1, np.nan], [1, 1, 1, 1, 1, np.inf], [1, 1, 1, 1, 1, -1]):
        with pytest.raises(ValueError, match="sizes must be positive and finite"):
            estimate_credits(rows, values, sizes=sizes, estimator=name)
    with pytest.raises(ValueError, match=r"sizes have shape \(5,\), but there are 6 players"):
        estimate_credits(rows, values, sizes=np.ones(5), estimator=name)


def test_estimators_and_noise_that_are_none_are_refused():
    rows = propose_coalitions(6, 40, seed=0)
    values = np.random.default_rng(0).random(40)
    with pytest.raises(ValueError, match="unknown estimator 'gp2'; there are: default, gp, ridge_odd"):
        estimate_credits(rows, values, estimator="gp2")
    with pytest.raises(ValueError, match="noise must be a MeasuredNoise"):
        estimate_credits(rows, values, noise=0.1)  # type: ignore[arg-type]
    for variance in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and not negative"):
            MeasuredNoise(variance)
    for degrees in (0, -1, np.nan):
        with pytest.raises(ValueError, match="degrees of freedom"):
            MeasuredNoise(1.0, degrees)


@pytest.mark.parametrize("budget", [2, 3, 8, 16])
@pytest.mark.parametrize("name", NAMES)
def test_too_few_evaluations_are_refused_with_numbers_that_would_do(name, budget):
    rows = propose_coalitions(20, budget, seed=0)
    with pytest.raises(UnidentifiedError, match=r"20 credits.*(needs at least|plan for at least) \d+"):
        estimate_credits(rows, np.arange(float(budget)), estimator=name)


@pytest.mark.parametrize("name", ["kernelshap", "kernelshap_sizes", "ridge_odd"])
def test_many_rows_that_never_part_two_players_are_refused(name):
    rows = design(6, 60)
    rows[:, 1] = rows[:, 0]
    with pytest.raises(UnidentifiedError):
        estimate_credits(rows, np.random.default_rng(0).random(len(rows)), estimator=name)


def test_no_rows_left_over_means_nothing_is_known_about_the_error():
    # Three players, only the single ones: credits follow, but nothing is left to judge them by.
    rows = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=bool)
    credits = estimate_credits(rows, [0.0, 1.0, 2.0, 3.0, 6.0], estimator="kernelshap_sizes")
    assert np.allclose(credits.values, [1, 2, 3])
    low, high = credits.interval(0.9)
    assert np.all(low == -np.inf) and np.all(high == np.inf)
    assert np.all(credits.probability_greater() == 0.5)
    assert credits.group([0, 1])[1:] == (-np.inf, np.inf)
    assert credits.low_budget


@pytest.mark.parametrize("name", NAMES)
def test_constant_values_give_zero_credits_without_spread(name):
    rows = propose_coalitions(8, 64, seed=0)
    credits = estimate_credits(rows, np.full(64, 0.1), sizes=np.arange(1.0, 9), estimator=name)
    assert np.abs(credits.values).max() < 1e-15
    assert np.abs(credits.covariance).max() < 1e-30
    assert credits.shares()[0] is None
    assert np.all(credits.probability_greater() == 0.5)


@pytest.mark.parametrize("name", FREE_OF_BASELINE)
def test_constant_values_but_for_the_baseline_give_equal_shares(name):
    rows = propose_coalitions(6, 30, seed=0)
    values = np.where(rows.any(axis=1), 0.7, -3.0)
    credits = estimate_credits(rows, values, estimator=name)
    assert np.allclose(credits.values, 3.7 / 6)
    assert np.all(credits.probability_greater() == 0.5)
    shares, reason = credits.shares()
    assert reason is None and shares is not None and np.allclose(shares, 1 / 6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EVERY_DRAW])
def test_an_evaluation_met_twice_counts_once(name):
    rows = design(7, 60)
    values = wavy(rows, 2)
    order = np.r_[np.arange(len(rows)), np.arange(2, 15), np.arange(5, 9), np.flatnonzero(rows.all(axis=1))]
    once = estimate_credits(rows, values, estimator=name)
    again = estimate_credits(rows[order], values[order], estimator=name)
    assert np.abs(again.values - once.values).max() <= tolerance(name) * np.ptp(once.values)
    assert np.allclose(again.covariance, once.covariance, rtol=10 * tolerance(name), atol=0)
    assert again.n_evaluations == once.n_evaluations == len(rows)


@pytest.mark.parametrize("name", EVERY_DRAW)
def test_a_coalition_drawn_twice_counts_twice_in_the_papers_estimator(name):
    rows = design(7, 60)
    twice = np.concatenate([rows, rows[5:15]])
    here, there = (estimate_credits(r, wavy(r, 2), estimator=name) for r in (rows, twice))
    assert np.abs(here.values - there.values).max() > 1e-6
    assert there.n_evaluations == here.n_evaluations


@pytest.mark.parametrize("name", NAMES)
def test_repeats_that_differ_are_averaged_those_of_the_two_ends_too(name):
    rows = design(8, 80)
    values = wavy(rows, 2)
    ends = np.flatnonzero(rows.all(axis=1) | ~rows.any(axis=1))
    apart = np.concatenate([np.delete(rows, ends, axis=0), rows[ends], rows[ends]])
    given = np.concatenate([np.delete(values, ends), values[ends] - 0.01, values[ends] + 0.01])
    once = estimate_credits(rows, values, estimator=name)
    again = estimate_credits(apart, given, estimator=name)
    assert (again.grand, again.empty) == pytest.approx((once.grand, once.empty))
    assert np.abs(again.values - once.values).max() < 0.05 * np.ptp(once.values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_small_and_very_large_values_are_no_matter(name, scale):
    rows = design(7, 60)
    here, there = (estimate_credits(rows, unit * wavy(rows, 0), estimator=name) for unit in (1.0, scale))
    assert np.abs(there.values / scale - here.values).max() < tolerance(name) * np.ptp(here.values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e250, 1e307])
def test_values_out_of_all_range_are_refused_and_never_answered_with_nan(name, scale):
    rows = design(7, 60)
    values = scale * np.random.default_rng(0).uniform(-1, 1, len(rows))
    with pytest.raises(ValueError, match="values reach"):
        estimate_credits(rows, values, estimator=name)


@pytest.mark.parametrize("name", ["kernelshap", "kernelshap_sizes", "ridge_odd"])
@pytest.mark.parametrize("n_players", [12, 100, 300])
def test_few_and_many_players_are_answered(n_players, name):
    rows = propose_coalitions(n_players, min(2**n_players - 2, 3 * n_players), seed=0)
    weights = np.linspace(0, 1, n_players)
    credits = estimate_credits(rows, rows @ weights, estimator=name)
    assert np.allclose(credits.values, weights, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_players", [2, 3])
def test_two_and_three_players_are_answered_by_their_complete_table(n_players, name):
    rows = all_coalitions(n_players)
    weights = np.linspace(0, 1, n_players)
    assert np.allclose(estimate_credits(rows, rows @ weights, estimator=name).values, weights)


def test_numbers_of_coalitions_beyond_any_float_do_not_overflow():
    n_players = 1500  # C(1500, 750) is about 1e450
    half = np.random.default_rng(0).random((6, n_players)) < 0.5
    rows = independent_rows(np.concatenate([half, ~half]), np.arange(12.0))
    assert np.isfinite(rows.drawn).all() and np.isfinite(rows.weight).all()


def test_more_columns_than_can_be_listed_are_never_taken_for_a_complete_table():
    game = additive(np.linspace(0, 1, 64))
    rows = propose_coalitions(64, 300, seed=0)
    credits = estimate_credits(rows, game.value(rows), estimator="kernelshap_sizes")
    assert credits.estimator == "kernelshap_sizes" and np.allclose(credits.values, game.credits, atol=1e-8)


@pytest.mark.parametrize(
    "by_size", [((0, 0.1, 4.0),), ((2, -1.0, 4.0),), ((2, np.nan, 4.0),), ((2, np.inf, 4.0),), ((2, 0.1, np.nan),)]
)
def test_noise_by_size_that_is_no_number_is_refused(by_size):
    with pytest.raises(ValueError, match="noise by size"):
        MeasuredNoise(0.1, 10.0, by_size)


@pytest.mark.parametrize("offset", [1e8, 1e12])
def test_values_far_from_zero_that_do_differ_are_not_taken_for_constant(offset):
    rows = propose_coalitions(8, 60, seed=0)
    credits = estimate_credits(rows, offset + rows @ np.arange(8.0))
    assert np.allclose(credits.excess, np.arange(8.0) - 3.5, atol=0.02)
