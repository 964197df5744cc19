"""The difference estimator against games whose Shapley values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.audit.correction import MeasuredSd, Uncertain, correction, total
from tasks.audit.draw import Draw, draw_coalitions
from tests.games import Game, additive, random_table, saturating

N = st.integers(2, 7)
PLAYER, SEED = st.integers(0, 6), st.integers(0, 10**6)


def contributions(game: Game, draw: Draw, player: int) -> np.ndarray:
    """v(S ∪ player) − v(S), S over the others in their order."""
    without = np.insert(draw.coalitions, player, False, axis=1)
    present = without.copy()
    present[:, player] = True
    return game.value(present) - game.value(without)


@given(N, PLAYER, SEED)
@settings(deadline=None)
def test_all_coalitions_give_the_exact_credit_of_the_retrained_game(n, player, seed):
    player %= n
    retrained, finetuned = random_table(n, seed), random_table(n, seed + 1)
    draw = draw_coalitions(n - 1, max(2, 2 ** (n - 1)), seed)
    found = correction(draw, contributions(retrained, draw, player), contributions(finetuned, draw, player))
    assert finetuned.credits[player] + found.value == pytest.approx(retrained.credits[player])
    assert found.degrees_of_freedom == 0 and found.interval() == (-math.inf, math.inf), (
        "nothing was measured of the noise"
    )


@given(N, st.integers(2, 64), PLAYER, SEED)
@settings(deadline=None)
def test_two_realisations_that_agree_need_no_correction(n, pairs, player, seed):
    player %= n
    game = random_table(n, seed)
    draw = draw_coalitions(n - 1, pairs, seed)
    values = contributions(game, draw, player)
    assert correction(draw, values, values).value == 0.0


@example(n=6, pairs=3, player=0, seed=0, offset=5.598801922624128e-06)  # less than what the contributions round to
@given(st.integers(2, 30), st.integers(2, 64), PLAYER, SEED, st.floats(-10, 10))
@settings(deadline=None)
def test_an_offset_of_all_but_the_empty_coalition_is_found_whatever_is_drawn(n, pairs, player, seed, offset):
    player %= n
    weights = np.random.default_rng(seed).random(n)
    game = additive(weights)
    shifted = Game("shifted", lambda rows: game.value(rows) + offset * rows.any(axis=1), weights + offset / n, weights)
    draw = draw_coalitions(n - 1, pairs, seed)
    found = correction(draw, contributions(shifted, draw, player), contributions(game, draw, player))
    assert found.value == pytest.approx(offset / n, abs=1e-12)
    assert found.interval() == (-math.inf, math.inf), "differences that do not vary say nothing of what was not drawn"


@pytest.mark.parametrize(("n", "pairs"), [(6, 2), (6, 3), (6, 6), (6, 14), (9, 6)])
def test_the_correction_is_unbiased_over_seeds_and_intervals_hold_it_in_a_lopsided_game_without_noise(n, pairs):
    weights = np.random.default_rng(3).lognormal(size=n)
    retrained, finetuned = saturating(weights), additive(weights / weights.sum() * 0.9)
    truth = retrained.credits[1] - finetuned.credits[1]
    found = []
    for seed in range(3000):
        draw = draw_coalitions(n - 1, pairs, seed)
        found.append(correction(draw, contributions(retrained, draw, 1), contributions(finetuned, draw, 1)))
    values = np.array([f.value for f in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / math.sqrt(len(values)))
    if (
        pairs >= 6
    ):  # fewer differences cover less: 67 % at the worst with 3; with noise of half their spread, 91 to 98 %
        low, high = np.transpose([f.interval(0.9) for f in found])
        assert np.mean((low <= truth) & (truth <= high)) > 0.8


def test_the_noise_of_training_is_in_the_interval_of_a_complete_check():
    game, rng, sd, n = random_table(4, 0), np.random.default_rng(0), 0.3, 4
    draw = draw_coalitions(n - 1, 8, 0)
    trained = sd * rng.standard_normal((3000, 2, 2, 8))  # realisation, without or with, coalition
    trained[:, 1, 0, 0] = trained[:, 0, 0, 0]  # one untrained model
    values = contributions(game, draw, 2)
    noise = MeasuredSd(sd, 1000)
    found = [correction(draw, values + r[1] - r[0], values + f[1] - f[0], noise) for r, f in trained]
    assert np.std([f.value for f in found]) == pytest.approx(found[0].se, rel=0.05)
    low, high = np.transpose([f.interval(0.9) for f in found])
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.9, abs=0.02)


def test_lost_pairs_leave_the_others_weights_and_no_certainty():
    draw = draw_coalitions(3, 8, 0)
    d = np.arange(8.0)
    lost = np.where(np.arange(8) == 5, np.nan, d)
    found = correction(draw, lost, np.zeros(8), MeasuredSd(0.1, 10))
    assert math.isfinite(found.value) and found.degrees_of_freedom == 5 and found.se > 0
    assert math.isnan(correction(draw, np.full(8, np.nan), np.zeros(8)).value)
    constant = np.where(np.isnan(lost), np.nan, 1.0)
    assert correction(draw, constant, np.zeros(8)).value == pytest.approx(1)
    only_empty = np.where(np.arange(8) == 0, 2.0, np.nan)
    assert correction(draw, only_empty, np.zeros(8)).value == pytest.approx(2)


def test_the_sum_has_the_errors_of_both_and_none_where_one_is_not_known():
    a, b = Uncertain(1.0, 3.0, 40), Uncertain(2.0, 4.0, 4)
    both = total(a, b)
    assert (both.value, both.se) == (3.0, 5.0) and 4 < both.degrees_of_freedom < 44
    assert total(a, Uncertain(2.0, math.nan, 0)).interval() == (-math.inf, math.inf)
    sure = total(Uncertain(1.0, 0.0, math.inf), Uncertain(2.0, 0.0, 3))
    assert sure.interval() == (3.0, 3.0)


def test_contributions_of_other_coalitions_are_refused():
    with pytest.raises(ValueError, match="drawn"):
        correction(draw_coalitions(3, 4, 0), np.zeros(3), np.zeros(3))
