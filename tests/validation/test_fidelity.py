"""Correlations against scipy's, their intervals against simulation, and reasons in place of NaN."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.validation.correlation import pearson, spearman
from tasks.validation.fidelity import fidelity, pearson_difference, slope
from tests.validation.known import numbers


def test_values_and_fishers_interval_are_scipys():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(24)
    y = x + rng.standard_normal(24)
    found, theirs = pearson(x, y, level=0.9), stats.pearsonr(x, y)
    assert found.value == pytest.approx(theirs.statistic, abs=1e-12)
    interval = theirs.confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert found.count == 24
    x, y = np.round(x), np.round(y)  # with ties
    assert spearman(x, y, seed=0).value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_intervals_hold_the_population_value_about_as_often_as_they_say(rho):
    rng = np.random.default_rng(1)
    of_ranks = 6 / math.pi * math.asin(rho / 2)
    held = np.zeros(2)
    for repeat in range(300):
        x = rng.standard_normal(24)
        y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(24)
        line = numbers(pearson(x, y, level=0.9))
        rank = numbers(spearman(x, y, level=0.9, seed=repeat, resamples=400))
        held += [line[1] <= rho <= line[2], rank[1] <= of_ranks <= rank[2]]
    assert (np.abs(held / 300 - 0.9) < 0.055).all()  # s.d. of a share is 0.017


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from([-1e90, -1.0, 0.0, 1e-90, 2.0, 3.0]) | st.floats(-9, 9)] * 2), max_size=9),
    st.integers(0, 3),
)
def test_nothing_is_ever_nan_and_what_is_none_has_a_reason(pairs, seed):
    x, y = (np.array([pair[k] for pair in pairs], dtype=float) for k in (0, 1))
    for found in (pearson(x, y), spearman(x, y, seed=seed, resamples=50)):
        three = [found.value, found.low, found.high]
        assert all(number is None or -1 <= number <= 1 for number in three)
        assert (None in three) == bool(found.reason)
        if None not in three:
            assert numbers(found)[1] <= numbers(found)[2]


def test_constant_and_short_lists_say_so():
    assert "one list holds one value only, 2" in pearson([1, 3, 4, 9], [2, 2, 2, 2]).reason
    assert "both lists hold one value only" in spearman([1, 1, 1, 1], [2, 2, 2, 2], seed=0).reason
    assert pearson([1, 2, 3], [1, 2, 4]).reason == "3 rows are too few, at least 4 are needed"
    with pytest.raises(ValueError, match="row 1 is not finite"):
        pearson([1, np.nan, 3, 4], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="same length"):
        pearson([1, 2, 3, 4], [1, 2, 3])
    assert spearman([1, 1, 1, 1, 2], [0, 2, 5, 3, 4], seed=0).low is None  # most resamples lose the one that differs


def test_a_perfect_correlation_has_an_interval_of_no_width():
    for found in (pearson([1, 2, 3, 4, 6], [2, 4, 6, 8, 12]), spearman([1, 2, 3, 4, 6], [1, 3, 5, 7, 8], seed=0)):
        assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_a_difference_of_two_ways_is_told_where_their_own_intervals_overlap():
    rng = np.random.default_rng(1)
    truth = rng.standard_normal(24)
    hard = rng.standard_normal(24)  # in which both ways err alike
    better, worse = truth + 0.5 * hard, truth + 0.7 * hard
    found, beside = pearson_difference(better, worse, truth, seed=0), (pearson(better, truth), pearson(worse, truth))
    assert found.value == pytest.approx(numbers(beside[0])[0] - numbers(beside[1])[0])
    assert numbers(found)[1] > 0 and numbers(beside[0])[1] < numbers(beside[1])[2]
    other = pearson_difference(worse, better, truth, seed=0)
    assert numbers(other) == pytest.approx([-numbers(found)[0], -numbers(found)[2], -numbers(found)[1]])
    assert pearson_difference(worse, np.ones(24), truth, seed=0).value is None


def test_two_ways_of_equal_noise_differ_with_the_whole_interval_about_as_rarely_as_said():
    rng = np.random.default_rng(2)
    apart = 0
    for seed in range(200):
        truth = rng.standard_normal(24)
        found = pearson_difference(truth + rng.standard_normal(24), truth + rng.standard_normal(24), truth, seed=seed)
        apart += numbers(found)[1] > 0 or numbers(found)[2] < 0
    assert apart <= 24  # 5 % of 200 are 10; a percentile bootstrap of 24 rows says too much a little too often


def test_a_size_curve_that_agrees_across_sizes_is_not_taken_for_agreement_within_one():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.permuted(np.arange(12) < size, axis=0)[None] for size in [3] * 30 + [9] * 30])
    curve = rows.sum(axis=1) / 3.0
    found = fidelity(rows, curve + 0.3 * rng.standard_normal(60), curve + 0.3 * rng.standard_normal(60), seed=0)
    assert numbers(found.across.pearson)[0] > 0.85 and numbers(found.across.spearman)[1] > 0.5
    assert list(found.by_size) == [3, 9]
    for at in found.by_size.values():
        assert numbers(at.pearson)[1] < 0 < numbers(at.pearson)[2] and at.pearson.count == 30
    lonely = fidelity(rows[[0, *range(30, 40)]], np.arange(11.0), np.arange(11.0), seed=0).by_size[3]
    assert lonely.pearson.value is None and "1 rows are too few" in lonely.spearman.reason


def test_the_slope_tells_how_large_differences_are_whatever_the_level_and_not_only_their_order():
    true = np.random.default_rng(0).standard_normal(24)
    assert numbers(slope(0.2 * true + 5, true, seed=0)) == pytest.approx((0.2, 0.2, 0.2))
    value, low, high = numbers(slope(0.2 * true + 0.1 * np.random.default_rng(1).standard_normal(24), true, seed=0))
    assert low < 0.2 < high and low < value < high
    assert slope(np.ones(24), true, seed=0).value is None
