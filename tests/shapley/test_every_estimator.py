"""What holds for every estimator by name, whatever it does inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley import MeasuredNoise, estimate_credits
from tests.games import additive, all_coalitions
from tests.shapley.every_estimator import FREE_OF_BASELINE, NAMES, design, tolerance, wavy

ANY = st.integers(0, 10**6)
PLAYERS = st.integers(5, 9)


def near(here, there, name, scale=1.0):
    """Credits, excess spreads and gap of `there` are those of `here` times scale."""
    close = tolerance(name) * scale * max(np.ptp(here.values), 1e-12)
    assert np.abs(there.values - scale * here.values).max() < close
    spread = [np.sqrt(np.diag(credits.excess_covariance)) for credits in (here, there)]
    assert np.abs(spread[1] - scale * spread[0]).max() < 10 * close
    assert abs(there.efficiency_gap - scale * here.efficiency_gap) < 10 * close


@settings(max_examples=8, deadline=None)
@given(n_players=PLAYERS, seed=ANY)
@pytest.mark.parametrize("name", NAMES)
def test_renaming_players_renames_credits_and_the_order_of_rows_means_nothing(name, n_players, seed):
    rng = np.random.default_rng(seed)
    rows = design(n_players, 5 * n_players, seed)
    values, sizes = wavy(rows, seed) + 0.1 * rng.standard_normal(len(rows)), rng.lognormal(size=n_players)
    here = estimate_credits(rows, values, sizes=sizes, estimator=name)
    order, shuffled = rng.permutation(n_players), rng.permutation(len(rows))
    there = estimate_credits(rows[shuffled][:, order], values[shuffled], sizes=sizes[order], estimator=name)
    close = tolerance(name) * np.ptp(here.values)
    assert np.abs(there.values - here.values[order]).max() < close
    spread = [np.sqrt(np.diag(credits.covariance)) for credits in (here, there)]
    assert np.abs(spread[1] - spread[0][order]).max() < 10 * close


@settings(max_examples=8, deadline=None)
@given(n_players=PLAYERS, seed=ANY, scale=st.sampled_from([1e-6, 3.0, 1e6]), shift=st.sampled_from([0.0, -50.0]))
@pytest.mark.parametrize("name", NAMES)
def test_the_unit_of_values_scales_credits_and_a_constant_changes_nothing(name, n_players, seed, scale, shift):
    rng = np.random.default_rng(seed)
    rows = design(n_players, 5 * n_players, seed)
    values = wavy(rows, seed) + 0.1 * rng.standard_normal(len(rows))
    noise, sizes = MeasuredNoise(0.01, 6), rng.lognormal(size=n_players)
    here = estimate_credits(rows, values, sizes=sizes, estimator=name, noise=noise)
    scaled = MeasuredNoise(0.01 * scale**2, 6)
    there = estimate_credits(rows, scale * (values + shift), sizes=sizes, estimator=name, noise=scaled)
    near(here, there, name, scale)


@settings(max_examples=8, deadline=None)
@given(n_players=PLAYERS, seed=ANY, unit=st.sampled_from([1e-3, 1.0, 1e3]))
@pytest.mark.parametrize("name", NAMES)
def test_the_unit_of_sizes_means_nothing(name, n_players, seed, unit):
    rows = design(n_players, 5 * n_players, seed)
    values, sizes = wavy(rows, seed), np.random.default_rng(seed).lognormal(size=n_players)
    here, there = (estimate_credits(rows, values, sizes=s, estimator=name) for s in (sizes, unit * sizes))
    near(here, there, name)


@settings(max_examples=8, deadline=None)
@given(n_players=PLAYERS, seed=ANY)
@pytest.mark.parametrize("name", NAMES)
def test_credits_sum_to_the_rise(name, n_players, seed):
    rows = design(n_players, 5 * n_players, seed)
    values = wavy(rows, seed) + 0.1 * np.random.default_rng(seed).standard_normal(len(rows))
    credits = estimate_credits(rows, values, estimator=name)
    rise = values[rows.all(axis=1)][0] - values[~rows.any(axis=1)][0]
    assert credits.grand - credits.empty == rise
    assert np.isclose(credits.values.sum(), rise, atol=1e-9)
    assert credits.efficiency_gap == 0 or credits.efficiency_gap_se > 0
    assert np.isfinite(credits.covariance).all() and (np.linalg.eigvalsh(credits.covariance) > -1e-9).all()


@pytest.mark.parametrize("shift", [-100.0, 100.0])
@pytest.mark.parametrize("name", FREE_OF_BASELINE)
@pytest.mark.parametrize("noise", [None, MeasuredNoise(1e-4, 4)])
def test_a_baseline_far_off_moves_no_excess_credit_and_no_excess_interval(name, shift, noise):
    rows = design(10, 60)
    values = wavy(rows, 1) + 0.05 * np.random.default_rng(1).standard_normal(len(rows))
    moved = values + np.where(rows.any(axis=1), 0, shift * values.std())
    sizes = np.linspace(1, 4, 10)
    here, there = (estimate_credits(rows, v, sizes=sizes, estimator=name, noise=noise) for v in (values, moved))
    assert np.abs(there.excess - here.excess).max() < 1e-6 * np.abs(here.excess).max()
    for before, after in zip(here.excess_interval(0.9), there.excess_interval(0.9), strict=True):
        assert np.abs(after - before).max() < 1e-6 * np.abs(here.excess).max()
    assert np.allclose(there.values - here.values, -shift * values.std() / 10)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_follow_the_number_of_players_give_nobody_an_excess(name):
    rows = design(8, 60)
    credits = estimate_credits(rows, 3.0 * rows.sum(axis=1) + 5.0, estimator=name)
    assert np.abs(credits.excess).max() < 1e-6
    assert np.allclose(credits.values, 3.0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_additive_game_without_noise_is_found_with_its_null_player_and_its_twins(name):
    weights = np.array([0.0, 0.2, 0.2, 0.5, 0.7, 1.0, 1.1, 1.5, 1.9])
    game = additive(weights)
    rows = design(9, 80)
    credits = estimate_credits(rows, game.value(rows), sizes=np.arange(1.0, 10), estimator=name)
    assert np.allclose(credits.values, weights, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_complete_table_is_answered_by_the_definition(name):
    rows = all_coalitions(6)
    credits = estimate_credits(rows, wavy(rows, 0), estimator=name)
    assert credits.estimator == "definition"


@pytest.mark.parametrize("name", NAMES)
def test_estimates_survive_halves_of_pairs_that_failed(name):
    rows = design(9, 90)
    lost = np.random.default_rng(0).random(len(rows)) < 0.15
    kept = rows[~lost | rows.all(axis=1) | ~rows.any(axis=1)]
    truth = estimate_credits(all_coalitions(9), wavy(all_coalitions(9), 3)).values
    credits = estimate_credits(kept, wavy(kept, 3), estimator=name)
    assert np.corrcoef(credits.values, truth)[0, 1] > 0.95
    assert np.isfinite(credits.covariance).all()
