"""What the process promises on games with known credits: v(∅) moves nothing, noise is found, outliers are survived."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.shapley import MeasuredNoise, UnidentifiedError, estimate_credits, propose_coalitions
from tasks.shapley.gp import Posterior, condition, gather
from tasks.shapley.gp.calibration import inflation
from tasks.shapley.gp.tails import are_few, has_outliers, trusts
from tasks.shapley.validate import check_evaluations
from tests.games import all_coalitions, build, random_table, table


def noisy(game, rows, share, rng, draw=None):
    """Values with noise of a share of the s.d. between random coalitions; (values, s.d. of the noise)."""
    spread = game.value(np.random.default_rng(0).random((2000, game.n_players)) < 0.5).std()
    shape = rng.standard_normal(len(rows)) if draw is None else draw(rng, len(rows))
    return game.value(rows) + share * spread * shape, share * spread


@pytest.mark.parametrize("estimator", ["gp", "default", "ridge_odd"])
@pytest.mark.parametrize("kind", ["saturating", "class coverage", "pooled entropy"])
@pytest.mark.parametrize("away", [-100.0, 100.0])
def test_excess_and_its_intervals_do_not_move_with_the_value_of_the_empty_coalition(estimator, kind, away):
    game = build(kind, 12, 0)
    rows = propose_coalitions(12, 60, seed=0)
    values, _ = noisy(game, rows, 0.1, np.random.default_rng(1))
    moved = values.copy()
    moved[~rows.any(axis=1)] += away * values.std()
    first = estimate_credits(rows, values, sizes=game.sizes, estimator=estimator)
    second = estimate_credits(rows, moved, sizes=game.sizes, estimator=estimator)
    scale = np.abs(first.excess).max()
    assert np.abs(first.excess - second.excess).max() < 1e-6 * scale
    for one, other in zip(first.excess_interval(0.9), second.excess_interval(0.9), strict=True):
        assert np.abs(one - other).max() < 1e-6 * scale
    assert np.isclose(second.values.sum() - first.values.sum(), -away * values.std())


def test_noise_is_found_where_replicates_measured_it():
    game = build("saturating", 10, 0)
    rows = propose_coalitions(10, 60, seed=0)
    values, sd = noisy(game, rows, 0.3, np.random.default_rng(0))
    evaluations = check_evaluations(rows, values, game.sizes)
    posterior = condition(evaluations, gather(evaluations, MeasuredNoise(sd**2, 200.0)))
    assert np.isclose(posterior.noise_variance(), sd**2, rtol=0.15)


def test_noise_that_grows_for_small_coalitions_is_seen_only_with_replicates():
    game = build("saturating", 10, 0)
    rows = propose_coalitions(10, 100, seed=0)
    rng = np.random.default_rng(0)
    _, sd = noisy(game, rows, 0.2, rng)
    deviation = sd * np.sqrt(5 / np.maximum(rows.sum(axis=1), 1))
    values = game.value(rows) + deviation * rng.standard_normal(len(rows))
    evaluations = check_evaluations(rows, values, game.sizes)
    blind = condition(evaluations, gather(evaluations, MeasuredNoise(sd**2, 90.0)))
    by_size = tuple((size, sd**2 * 5 / size, 30.0) for size in (1, 5, 10))
    told = condition(evaluations, gather(evaluations, MeasuredNoise(sd**2, 90.0, by_size)))
    assert blind.hyper.noise_growth == 0
    assert 0.4 < told.hyper.noise_growth < 1.6


def test_heavy_tails_are_seen_and_wild_rows_trusted_less():
    game = build("class coverage", 12, 1)
    rows = propose_coalitions(12, 120, seed=1)
    rng = np.random.default_rng(2)
    values, sd = noisy(game, rows, 0.1, rng)
    proper = np.flatnonzero(rows.any(axis=1) & ~rows.all(axis=1))
    wild = proper[[3, 40, 77]]
    spoiled = values.copy()
    spoiled[wild] += np.array([30, -30, 30]) * sd
    clean = estimate_credits(rows, values, sizes=game.sizes, estimator="gp")
    robust = estimate_credits(rows, spoiled, sizes=game.sizes, estimator="gp")
    assert isinstance(robust.surrogate, Posterior)
    evidence = robust.surrogate.evidence
    trust = evidence.trust
    place = {row.tobytes(): i for i, row in enumerate(evidence.rows.astype(bool))}
    found = [trust[place[rows[i].tobytes()]] for i in wild]
    assert max(found) < 0.1 * np.median(trust)
    error = ((robust.excess - game.excess) ** 2).sum()
    assert error < 3 * max(((clean.excess - game.excess) ** 2).sum(), 1e-4 * (game.excess**2).sum())


def test_normal_noise_is_not_taken_for_outliers_and_wild_values_are():
    rng = np.random.default_rng(0)
    assert not any(has_outliers(rng.standard_normal(100)) for _ in range(200))
    assert all(has_outliers(np.append(rng.standard_normal(98), [20.0, -20.0])) for _ in range(200))


def test_many_distrusted_rows_are_the_game_and_not_errors():
    assert are_few(np.append(np.ones(98), [0.01, 0.02]))
    assert not are_few(np.append(np.ones(90), np.full(10, 0.01)))
    assert not are_few(np.ones(100))


def test_a_rare_but_real_effect_is_not_explained_away():
    covered = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        worth = np.exp(rng.normal(size=10))
        game = table(((all_coalitions(10) @ worth) > 0.9 * worth.sum()).astype(np.float64))
        rows = propose_coalitions(10, 100, seed=seed)
        credits = estimate_credits(rows, game.value(rows), estimator="gp")
        low, high = credits.excess_interval(0.9)
        covered.append(((low <= game.excess) & (game.excess <= high)).mean())
    assert np.mean(covered) > 0.75


@pytest.mark.parametrize("jump", [1.0, 30.0])
def test_a_grand_coalition_unlike_all_others_moves_the_level_and_nobody_above_another(jump):
    rows = propose_coalitions(8, 60, seed=0)
    worth = np.arange(8.0)
    values = rows @ worth + 0.1 * np.random.default_rng(0).standard_normal(60)
    values[rows.all(axis=1)] += jump
    credits = estimate_credits(rows, values)
    assert np.isclose(credits.values.sum(), credits.grand - credits.empty)
    low, high = credits.interval(0.9)
    assert ((low <= worth + jump / 8) & (worth + jump / 8 <= high)).mean() >= 0.75
    assert np.isclose(credits.efficiency_gap, -jump, atol=0.5 + 0.1 * jump)


def test_the_standard_error_of_the_efficiency_gap_is_what_it_scatters():
    scores = []
    for seed in range(25):
        game = build("saturating", 10, seed)
        rows = propose_coalitions(10, 100, seed=seed)
        values, _ = noisy(game, rows, 0.2, np.random.default_rng(seed))
        credits = estimate_credits(rows, values, sizes=game.sizes, estimator="gp")
        scores.append(credits.efficiency_gap / credits.efficiency_gap_se)
    assert 0.6 < np.sqrt(np.mean(np.square(scores))) < 1.6


def test_players_who_are_always_together_are_named():
    rows = propose_coalitions(6, 60, seed=0).copy()
    rows[:, 1] = rows[:, 0]
    values = rows @ np.array([5.0, 0, 1, 1, 1, 1]) + 0.01 * np.random.default_rng(0).standard_normal(60)
    for estimator in ("gp", "default"):
        with pytest.raises(UnidentifiedError, match=r"players 0, 1 are always together"):
            estimate_credits(rows, values, estimator=estimator)


def test_coalitions_with_leavers_identify_the_game_of_those_who_stay():
    """Only eight coalitions lack the leaver; those with them say how the others differ."""
    covered = []
    for seed in range(4):
        game = build("saturating", 10, seed)
        former = np.arange(10) == 4
        rows = propose_coalitions(10, 90, seed=seed)
        rows = np.concatenate([rows[rows[:, 4]], rows[~rows[:, 4]][:8], [~former, np.zeros(10, bool)]])
        values, _ = noisy(game, rows, 0.05, np.random.default_rng(seed))
        credits = estimate_credits(rows, values, sizes=game.sizes, former=former)
        whole = np.zeros((512, 10), dtype=bool)
        whole[:, ~former] = all_coalitions(9)
        truth = table(game.value(whole)).excess
        low, high = credits.excess_interval(0.9)
        covered.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(covered) > 0.75


def test_a_column_of_a_leaver_in_no_coalition_changes_no_estimate():
    rows = propose_coalitions(8, 60, seed=0)
    values = rows @ np.arange(8.0) + np.random.default_rng(0).standard_normal(60)
    wider = np.column_stack([rows, np.zeros(60, dtype=bool)])
    plain = estimate_credits(rows, values)
    beside = estimate_credits(wider, values, former=np.arange(9) == 8)
    process = estimate_credits(rows, values, estimator="gp")
    close = 0.2 * np.abs(plain.excess - process.excess).max()
    assert close > 0  # the mean with the ridge is something else than the process alone
    # Not to the bit: the process scales its distances by the number of columns.
    assert np.abs(plain.excess - beside.excess).max() < close


def test_trust_of_ordinary_rows_stays_near_one():
    game = build("additive", 10, 0)
    rows = propose_coalitions(10, 100, seed=0)
    values, _ = noisy(game, rows, 0.2, np.random.default_rng(0))
    evaluations = check_evaluations(rows, values, game.sizes)
    posterior = condition(evaluations, gather(evaluations, None))
    assert np.median(trusts(posterior)) > 0.8


def test_intervals_are_widened_where_left_out_rows_contradict_them_and_never_narrowed():
    game = build("pooled entropy", 12, 0)
    rows = propose_coalitions(12, 60, seed=0)
    evaluations = check_evaluations(rows, game.value(rows), game.sizes)
    posterior = condition(evaluations, gather(evaluations, None))
    narrow = posterior.covariance / posterior.inflation
    assert posterior.inflation > 1.2
    posterior.widen(1.0)
    assert np.allclose(posterior.covariance, narrow)
    shrunk = replace(posterior.evidence, values=posterior.evidence.values * 1e-3)
    assert inflation(type(posterior)(posterior.space, shrunk, posterior.hyper)) == 1.0


def test_too_few_coalitions_are_refused_and_not_answered_from_the_prior():
    game = build("additive", 12, 0)
    rows = propose_coalitions(12, 12, seed=0)
    with pytest.raises(UnidentifiedError, match=r"10 coalitions.*tell 5 of 11 differences"):
        estimate_credits(rows, game.value(rows), estimator="gp")


def test_same_evaluations_in_any_order_give_the_same_numbers_to_the_bit():
    game = random_table(6, 0)
    rows = propose_coalitions(6, 40, seed=0)
    rows = np.concatenate([rows, rows[5:15], rows[5:10]])
    values = game.value(rows) + 0.1 * np.random.default_rng(1).standard_normal(len(rows))
    order = np.random.default_rng(0).permutation(len(rows))
    first = estimate_credits(rows, values, estimator="gp")
    second = estimate_credits(rows[order], values[order], estimator="gp")
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.covariance, second.covariance)


@pytest.mark.parametrize("estimator", ["gp", "default"])
def test_a_constant_game_is_predicted_to_be_constant(estimator):
    rows = propose_coalitions(6, 30, seed=0)
    credits = estimate_credits(rows, np.where(rows.any(axis=1), 3.0, 0.0), estimator=estimator)
    mean, spread = credits.predict(rows)
    assert np.array_equal(mean, np.where(rows.any(axis=1), 3.0, 0.0))
    assert not np.nan_to_num(spread).any()
    assert np.allclose(credits.values, 0.5)
    told = estimate_credits(
        rows, np.where(rows.any(axis=1), 3.0, 0.0), estimator=estimator, noise=MeasuredNoise(0.01, 10.0)
    )
    assert np.all(np.diag(told.covariance) > 0)  # the ends are as noisy as anything


@pytest.mark.parametrize(("present", "verb"), [(False, "lacks"), (True, "has")])
def test_a_player_whom_no_coalition_tells_apart_is_refused_by_number(present, verb):
    game = build("saturating", 8, 0)
    rows = propose_coalitions(8, 60, seed=0)
    proper = rows.any(axis=1) & ~rows.all(axis=1)
    rows = rows[~proper | (rows[:, 5] == present)]
    with pytest.raises(UnidentifiedError, match=f"{verb} player 5"):
        estimate_credits(rows, game.value(rows), estimator="gp")
