"""Stopping: goals are judged on the worst case, and forecasts hold where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tasks.shapley import Credits, propose_coalitions
from tasks.shapley.stopping import (
    FINE,
    LOOK_AHEAD,
    AbsoluteWidth,
    RelativeWidth,
    TopSettled,
    forecast,
    judge,
    widest_interval,
)
from tests.games import all_coalitions


class Additive:
    """Posterior of v(S) = Σ w_i with independent normal priors on w, from noisy values: credits are the weights."""

    def __init__(self, rows, noise=1.0, prior=1.0):
        self.rows, self.noise, self.prior = rows.astype(float), noise, prior
        self.asked = 0

    def covariance(self, rows):
        return np.linalg.inv(np.eye(rows.shape[1]) / self.prior + rows.T @ rows / self.noise)

    def predict(self, coalitions):
        return coalitions @ np.zeros(self.rows.shape[1]), np.full(len(coalitions), np.nan)

    def covariance_with(self, more):
        self.asked += 1
        return self.covariance(np.concatenate([self.rows, more.astype(float)]))


def some_credits(values, covariance, degrees=np.inf, grand=1.0, surrogate=None):
    return Credits(np.array(values, float), covariance, degrees, grand, 0.0, 100, "gp", surrogate=surrogate)


def additive_credits(n=6, m=40, seed=0, spread=1.0, noise=1.0):
    rows = propose_coalitions(n, m, seed=seed)
    surrogate = Additive(rows, noise)
    values = spread * np.arange(n)[::-1]
    return some_credits(values, surrogate.covariance(surrogate.rows), surrogate=surrogate), rows


covariances = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.floats(-3, 3), min_size=n * n, max_size=n * n).map(lambda v: np.reshape(v, (n, n)))
)


def test_width_is_that_of_a_normal_interval_of_the_excess():
    credits = some_credits([3.0, 2.0, 1.0, 0.0], 0.04 * np.eye(4))
    expected = 2 * stats.norm.ppf(0.95) * 0.2 * np.sqrt(3 / 4)  # an excess is 3/4 of one less the mean of the others
    assert widest_interval(credits, 0.9) == pytest.approx(expected)
    assert not judge(credits, AbsoluteWidth(expected * 0.999)).enough
    assert judge(credits, AbsoluteWidth(expected * 1.001)).enough
    assert judge(credits, RelativeWidth(expected * 1.001)).enough  # v(N) - v(∅) is 1
    assert not judge(replace(credits, grand=0.5), RelativeWidth(expected * 1.001)).enough


@given(covariances, st.floats(0.01, 10), st.floats(0.6, 0.99))
def test_a_wider_goal_or_a_lower_level_is_never_harder(factor, width, level):
    credits = some_credits(np.arange(len(factor)), factor @ factor.T)
    if judge(credits, AbsoluteWidth(width), level).enough:
        assert judge(credits, AbsoluteWidth(2 * width), level).enough
        assert judge(credits, AbsoluteWidth(width), level - 0.05).enough
    for k in range(1, len(factor)):
        if judge(credits, TopSettled(k), level).enough:
            assert judge(credits, TopSettled(k), level - 0.05).enough


@given(covariances, st.floats(-1e6, 1e6))
def test_the_baseline_moves_neither_width_nor_order(factor, shift):
    credits = some_credits(np.arange(len(factor)), factor @ factor.T)
    n = len(factor)
    # v(∅) at another place: every credit moves by the same, and so does what is not known of it.
    moved = replace(credits, values=credits.values + shift / n, covariance=credits.covariance + shift**2 / n**2)
    tolerance = 1e-9 * (1 + shift**2)
    assert widest_interval(moved) == pytest.approx(widest_interval(credits), abs=np.sqrt(tolerance))


def test_the_top_is_settled_only_if_every_pair_across_the_border_is():
    covariance = 1e-4 * np.eye(5)
    assert judge(some_credits([5, 4, 3, 2, 1], covariance), TopSettled(2)).enough
    close = judge(some_credits([5, 3.001, 3, 2, 1], covariance), TopSettled(2))
    assert not close.enough and 0.5 < close.measure < 0.9 and "5 of 6" in close.sentence
    assert judge(some_credits([5, 3.001, 3, 2, 1], covariance), TopSettled(1)).enough
    assert judge(some_credits([5, 3.001, 3, 2, 1], covariance), TopSettled(3)).enough  # their order inside is open
    assert not judge(some_credits([5, 3, 3, 2, 1], np.zeros((5, 5))), TopSettled(2)).enough  # a tie is never settled


def test_unknown_errors_are_never_enough_and_have_no_forecast():
    blind = some_credits([2, 1, 0], np.full((3, 3), np.nan), degrees=0.0)
    for goal in (AbsoluteWidth(1e9), RelativeWidth(1e9), TopSettled(1)):
        assert not judge(blind, goal).enough
        assert forecast(blind, goal, lambda k: np.zeros((k, 3), bool), used=10) is None


def test_no_gain_and_no_spread_are_said_without_dividing_by_zero():
    assert judge(some_credits([0, 0], np.zeros((2, 2)), grand=0.0), RelativeWidth(0.1)).enough
    credits = some_credits([0, 0], np.eye(2), grand=0.0)
    flat = judge(credits, RelativeWidth(0.1))
    assert not flat.enough and flat.wanted == 0
    assert forecast(credits, RelativeWidth(0.1), lambda k: np.ones((k, 2), bool), used=9) is None


@pytest.mark.parametrize("bad", [lambda: AbsoluteWidth(0), lambda: RelativeWidth(np.nan), lambda: TopSettled(0)])
def test_goals_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError):
        bad()
    with pytest.raises(ValueError, match="top 3 of 3"):
        judge(some_credits([1, 2, 3], np.eye(3)), TopSettled(3))


@settings(deadline=None, max_examples=25)
@given(st.floats(0.3, 0.95), st.integers(0, 5))
def test_with_a_surrogate_the_forecast_is_about_the_smallest_number_that_reaches_the_width(part, seed):
    credits, rows = additive_credits(seed=seed)
    goal = AbsoluteWidth(part * widest_interval(credits))

    def propose(k):  # repeats are allowed in this game, so that any precision can be reached
        return np.concatenate([rows[2:]] * (k // len(rows) + 2))[:k]

    more = forecast(credits, goal, propose, used=len(rows))
    assert more is not None and more > 0
    surrogate = credits.surrogate
    assert isinstance(surrogate, Additive)
    after = replace(credits, covariance=surrogate.covariance_with(propose(more)))
    fewer = more - max(1, more // FINE)
    before = replace(credits, covariance=surrogate.covariance_with(propose(fewer)))
    assert judge(after, goal).enough and not judge(before, goal).enough


def test_a_forecast_that_comes_true_says_zero_and_asks_nobody():
    credits, _ = additive_credits()
    goal = AbsoluteWidth(2 * widest_interval(credits))
    assert forecast(credits, goal, lambda k: pytest.fail("asked for rows"), used=40) == 0


def test_when_all_coalitions_are_there_and_it_is_not_enough_there_is_no_forecast():
    credits, rows = additive_credits(n=6, m=40)
    left = np.array([row for row in all_coalitions(6) if not (rows == row).all(axis=1).any()])
    assert forecast(credits, AbsoluteWidth(1e-6), lambda k: left[:k], used=40) is None


def test_without_a_surrogate_widths_fall_as_one_over_the_root_of_the_evaluations():
    credits = some_credits([3.0, 2.0, 1.0], 0.04 * np.eye(3))
    width = widest_interval(credits)
    rows = lambda k: np.ones((k, 3), bool)  # noqa: E731
    assert forecast(credits, AbsoluteWidth(width / 2), rows, used=50) == pytest.approx(150, abs=1)
    assert forecast(credits, RelativeWidth(width / 3), rows, used=50) == pytest.approx(400, abs=1)
    assert forecast(credits, AbsoluteWidth(width / 100), rows, used=50) is None  # 10,000 times as many: no forecast
    close = replace(credits, values=np.array([3.0, 2.0, 1.8]))
    more = forecast(close, TopSettled(2), rows, used=50)
    assert more is not None and 0 < more <= LOOK_AHEAD * 50
    later = replace(close, covariance=close.covariance * 50 / (50 + more))
    assert judge(later, TopSettled(2)).measure == pytest.approx(0.9, abs=2e-3)


def test_many_evaluations_need_no_large_covariance_for_a_forecast():
    credits, rows = additive_credits()
    goal = AbsoluteWidth(0.9 * widest_interval(credits))
    assert forecast(credits, goal, lambda k: rows[:k], used=100_000) == pytest.approx(100_000 * (0.9**-2 - 1), rel=1e-3)
    assert isinstance(credits.surrogate, Additive) and credits.surrogate.asked == 0
