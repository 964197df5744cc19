"""The linear datamodeling score: what it must be blind to, what it must see, and how sure it says it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.validation.coalitions import across_sizes, fixed_size
from tasks.validation.lds import against_chance, lds_difference, linear_datamodeling_score, random_lds
from tests.games import additive, build
from tests.validation.known import numbers


def score(rows, values, credits, **more):
    return linear_datamodeling_score(rows, values, credits, seed=0, resamples=more.pop("resamples", 200), **more)


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 12), st.integers(0, 1000))
def test_true_credits_of_an_additive_game_score_one_and_their_opposites_minus_one(n, seed):
    game = additive(np.random.default_rng(seed).standard_normal(n))
    for rows in (fixed_size(n, n // 2, 20, seed=seed).coalitions, across_sizes(n, 13, seed=seed).coalitions):
        assert score(rows, game.value(rows), game.credits).combined.value == pytest.approx(1, abs=1e-12)
        assert score(rows, game.value(rows), -game.credits).combined.value == pytest.approx(-1, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_at_one_size_neither_a_constant_nor_a_scale_of_credits_changes_anything(seed, shift, scale):
    rng = np.random.default_rng(seed)
    rows = fixed_size(10, 5, 24, seed=seed).coalitions
    # Credits of few different values: there are ties between coalitions, and rounding must not break them.
    credits, values = rng.integers(0, 4, 10) / 10, rng.standard_normal(24)
    assert score(rows, values, scale * (credits + shift)) == score(rows, values, credits)


def test_equal_credits_have_no_score_though_their_sums_differ_in_the_last_bits():
    rows = fixed_size(9, 4, 30, seed=0).coalitions
    found = score(rows, np.arange(30.0), np.full(9, 0.1), replicates=np.full((3, 9), 0.1))
    assert found.combined.value is None and "same sum of credits" in found.combined.reason
    assert found.over_evaluations is not None and found.over_evaluations.value is None
    assert "one value only" in score(rows, np.ones(30), np.arange(9.0)).combined.reason
    difference = lds_difference(rows, np.arange(30.0), np.arange(9.0), np.full(9, 0.1), seed=0)
    assert difference.value is None and difference.probability_greater is None and difference.reason


@pytest.mark.parametrize(("n", "low", "high"), [(20, 0.10, 0.25), (50, 0.10, 0.17)])
def test_random_credits_score_nothing_on_average_with_the_known_spread(n, low, high):
    rows = fixed_size(n, n // 2, 100, seed=n).coalitions
    rng = np.random.default_rng(n)
    # Games all additive: the spread of a cosine in n - 1 dimensions, as 100 coalitions show them.
    additive_games = [random_lds(rows, rows @ rng.standard_normal(n), seed=k, draws=300) for k in range(60)]
    assert abs(np.mean(additive_games)) < 0.02
    spread = np.sqrt(np.mean(np.square(additive_games)))
    assert spread == pytest.approx(np.sqrt((1 + (n - 1) / 100) / (n - 1)), rel=0.1)
    assert low < spread < high
    # Noise alone: that of 100 ranks, on average over the noise.
    noise = [random_lds(rows, rng.standard_normal(100), seed=k, draws=300) for k in range(60)]
    assert abs(np.mean(noise)) < 0.02
    assert np.sqrt(np.mean(np.square(noise))) == pytest.approx(low, abs=0.015)


def test_dealing_out_a_methods_own_credits_keeps_their_values():
    rows = fixed_size(8, 4, 40, seed=0).coalitions
    values = build("saturating", 8, 0).value(rows)
    one_big = np.eye(8)[0]
    scores = random_lds(rows, values, seed=0, draws=400, like=one_big)
    assert len(np.unique(scores)) == 8  # whoever holds the one
    with pytest.raises(ValueError, match="same sum of credits"):
        random_lds(rows, values, seed=0, like=np.ones(8))


def test_chance_is_told_from_a_method_that_knows():
    rows = fixed_size(12, 6, 24, seed=0).coalitions
    game = build("class coverage", 12, 0)
    by_chance = random_lds(rows, game.value(rows), seed=0)
    good = against_chance(numbers(score(rows, game.value(rows), game.credits).combined)[0], by_chance)
    assert good.better and good.p_value == pytest.approx(1 / 1001)
    middling = against_chance(float(by_chance.mean()), by_chance)
    assert not middling.better and middling.p_value > 0.3
    assert good.threshold == middling.threshold > 0
    # Of methods that know nothing one in twenty lies outside, half of those above.
    fresh = random_lds(rows, game.value(rows), seed=9, draws=400)
    assert np.mean([against_chance(s, by_chance).better for s in fresh]) == pytest.approx(0.025, abs=0.025)


def ridge(rows, values):
    """Credits by ridge on centred rows, sizes' means taken out: an estimator quick enough to be bootstrapped here."""
    n = rows.shape[1]
    size = rows.sum(axis=1)
    of_size = (size[:, None] == np.unique(size)).astype(float)
    mean = of_size / of_size.sum(axis=0)
    x = rows - size[:, None] / n
    x, y = x - of_size @ (mean.T @ x), values - of_size @ (mean.T @ values)
    return np.linalg.solve(x.T @ x + 2 * np.eye(n), x.T @ y)


def simulated(repeats, seed):
    """(test rows, values, credits, replicates, other credits, other replicates) of studies on 12 contributors."""
    game, every = build("class coverage", 12, 1), fixed_size(12, 6, 924, seed=0).coalitions
    spread = game.value(every).std()
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        made = []
        for _ in range(2):
            rows = rng.random((60, 12)) < 0.5
            values = game.value(rows) + spread * rng.standard_normal(60)
            again = rng.integers(60, size=(60, 60))
            made += [ridge(rows, values), np.array([ridge(rows[k], values[k]) for k in again])]
        test = every[rng.choice(924, 24, replace=False)]
        yield test, game.value(test) + 0.3 * spread * rng.standard_normal(24), *made


def test_combined_interval_holds_the_mean_score_over_studies_and_differences_of_equals_hold_zero():
    studies = list(simulated(150, 5))
    game, every = build("class coverage", 12, 1), fixed_size(12, 6, 924, seed=0).coalitions
    rng = np.random.default_rng(8)
    noisy = game.value(every) + 0.3 * game.value(every).std() * rng.standard_normal(924)
    truth = np.mean([score(every, noisy, s[2], resamples=2).combined.value for s in studies])
    held, zero, wider = [], [], []
    for number, (rows, values, credits, replicates, others, other_replicates) in enumerate(studies):
        found = linear_datamodeling_score(
            rows, values, credits, seed=number, replicates=replicates, level=0.9, resamples=300
        )
        assert found.over_evaluations is not None
        value, low, high = numbers(found.combined)
        of_evaluations, of_coalitions = numbers(found.over_evaluations), numbers(found.over_coalitions)
        assert low <= value <= high and of_evaluations[1] <= value <= of_evaluations[2]
        assert value == of_evaluations[0] == of_coalitions[0]
        held.append(low <= truth <= high)
        wider.append((high - low) - (of_coalitions[2] - of_coalitions[1]))
        difference = lds_difference(
            rows,
            values,
            credits,
            others,
            seed=number,
            replicates=replicates,
            other_replicates=other_replicates,
            level=0.9,
            resamples=300,
        )
        zero.append(numbers(difference)[1] <= 0 <= numbers(difference)[2])
    assert 0.85 <= np.mean(held) <= 0.995  # s.d. of a share is 0.025; cautious at so few coalitions
    assert 0.85 <= np.mean(zero) < 1
    assert np.mean(wider) > 0.03


def test_a_better_method_is_told_by_pairing_and_the_two_directions_mirror_each_other():
    rows = fixed_size(12, 6, 60, seed=0).coalitions
    game = build("class coverage", 12, 3)
    rng = np.random.default_rng(0)
    good = game.credits + 0.2 * game.excess.std() * rng.standard_normal(12)
    poor = game.credits + 1.5 * game.excess.std() * rng.standard_normal(12)
    there = lds_difference(rows, game.value(rows), good, poor, seed=0)
    back = lds_difference(rows, game.value(rows), poor, good, seed=0)
    (value, low, high), mirrored = numbers(there), numbers(back)
    assert there.probability_greater is not None and back.probability_greater is not None
    assert low > 0 and there.probability_greater > 0.99
    assert (value, low, high) == pytest.approx((-mirrored[0], -mirrored[2], -mirrored[1]))
    assert there.probability_greater == pytest.approx(1 - back.probability_greater)
    same = lds_difference(rows, game.value(rows), good, 2 * good + 1, seed=0)
    assert (same.value, same.low, same.high, same.probability_greater) == (0, 0, 0, 0.5)


def test_paired_replicates_of_one_method_against_itself_differ_by_nothing():
    rows = fixed_size(12, 6, 24, seed=0).coalitions
    values, credits = build("thresholded", 12, 0).value(rows), np.arange(12.0)
    replicates = credits + np.random.default_rng(0).standard_normal((30, 12))
    same = lds_difference(rows, values, credits, credits, seed=0, replicates=replicates, other_replicates=replicates)
    assert (same.low, same.high) == (0, 0)
    with pytest.raises(ValueError, match="paired row by row, but there are 30 and 29"):
        lds_difference(rows, values, credits, credits, seed=0, replicates=replicates, other_replicates=replicates[1:])


def test_bad_input_is_named():
    rows = fixed_size(5, 2, 6, seed=0).coalitions
    with pytest.raises(ValueError, match=r"credits have shape \(4,\)"):
        score(rows, np.arange(6.0), np.ones(4))
    with pytest.raises(ValueError, match=r"contributor 2 \(column\) are nan"):
        score(rows, np.arange(6.0), [1, 2, np.nan, 3, 4])
    with pytest.raises(ValueError, match="replicate 1 holds credits that are not finite"):
        score(rows, np.arange(6.0), np.arange(5.0), replicates=[[1, 2, 3, 4, 5], [1, 2, 3, 4, np.inf]])
    with pytest.raises(ValueError, match="level"):
        score(rows, np.arange(6.0), np.arange(5.0), level=1.0)
