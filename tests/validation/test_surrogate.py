"""Trees fit what they are shown, and their Shapley values are those of the enumeration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley import propose_coalitions
from tasks.validation.papers_estimator import papers_credits
from tasks.validation.surrogate import fit_surrogate, surrogate_credits
from tasks.validation.trees import Ensemble, Leaf, boost
from tests.games import additive, all_coalitions, build, table


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.data())
def test_shapley_values_of_any_leaves_are_the_enumerations(n, data):
    leaves = []
    for _ in range(data.draw(st.integers(1, 4))):
        sides = data.draw(st.lists(st.sampled_from(["in", "out", "either"]), min_size=n, max_size=n))
        present, absent = (tuple(k for k in range(n) if sides[k] == side) for side in ("in", "out"))
        leaves.append(Leaf(present, absent, data.draw(st.floats(-3, 3))))
    ensemble = Ensemble.of(0.7, leaves, n)
    every = all_coalitions(n)
    by_hand = np.array(
        [
            0.7
            + sum(leaf.weight for leaf in leaves if row[list(leaf.present)].all() and not row[list(leaf.absent)].any())
            for row in every
        ]
    )
    assert np.allclose(ensemble.predict(every), by_hand, atol=1e-12)
    if n >= 2:
        assert np.allclose(ensemble.shapley(), table(by_hand).credits, atol=1e-10)
    assert ensemble.shapley().sum() == pytest.approx(by_hand[-1] - by_hand[0], abs=1e-10)


def test_one_leaf_by_counting_orders():
    # In: 0 and 1; out: 2; contributor 3 does not matter.
    credits = np.zeros(4)
    for order in itertools.permutations(range(4)):
        there: set[int] = set()
        for who in order:
            before = {0, 1} <= there and 2 not in there
            there.add(who)
            credits[who] += ({0, 1} <= there and 2 not in there) - before
    found = Ensemble.of(5.0, [Leaf((0, 1), (2,), 1.0)], 4).shapley()
    assert found == pytest.approx(credits / math.factorial(4))
    assert found == pytest.approx([1 / 6, 1 / 6, -1 / 3, 0])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 7), st.integers(0, 500), st.integers(1, 4))
def test_boosted_ensembles_have_the_shapley_values_of_their_own_predictions(n, seed, depth):
    rng = np.random.default_rng(seed)
    rows = rng.random((30, n)) < 0.5
    ensemble = boost(rows, rng.standard_normal(30), trees=12, depth=depth)
    assert ((ensemble.present | ensemble.absent).sum(axis=1) <= depth).all()
    assert np.allclose(ensemble.shapley(), table(ensemble.predict(all_coalitions(n))).credits, atol=1e-10)


def test_one_stump_by_hand():
    rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    ensemble = boost(rows, np.array([0.0, 1.0, 10.0, 11.0]), trees=1, depth=1, rate=0.5, penalty=0)
    assert ensemble.predict(rows) == pytest.approx([5.5 - 2.5, 3, 8, 8])  # mean 5.5, leaves ±5, half of them
    shrunk = boost(rows, np.array([0.0, 1.0, 10.0, 11.0]), trees=1, depth=1, rate=1, penalty=2)
    assert shrunk.predict(rows) == pytest.approx([5.5 - 10 / 4, 3, 8, 8])


def test_enough_trees_fit_any_table_and_more_trees_never_fit_worse():
    every = all_coalitions(4)
    values = np.random.default_rng(0).standard_normal(16)
    left = [
        np.square(boost(every, values, trees=k, depth=4, rate=0.3, penalty=0).predict(every) - values).sum()
        for k in (0, 1, 5, 20, 60)
    ]
    assert all(later <= before + 1e-12 for before, later in itertools.pairwise(left))
    assert left[-1] < 1e-6 < left[0]
    constant = boost(every, np.full(16, 0.1), trees=3)
    assert not constant.shapley().any() and constant.predict(every) == pytest.approx(np.full(16, 0.1))


def test_interactions_up_to_the_depth_are_seen_and_deeper_ones_not():
    every = all_coalitions(6)
    values = (every[:, 0] & every[:, 1]).astype(float)  # a pair
    deep = boost(every, values, trees=200, depth=2, rate=0.3, penalty=0)
    assert np.allclose(deep.predict(every), values, atol=1e-3)
    assert np.allclose(deep.shapley(), [0.5, 0.5, 0, 0, 0, 0], atol=1e-3)
    flat = boost(every, values, trees=200, depth=1, rate=0.3, penalty=0)
    assert np.allclose(flat.predict(every), every[:, :2].sum(axis=1) / 2 - 0.25, atol=1e-3)


@pytest.mark.parametrize("kind", ["saturating", "class coverage", "thresholded"])
def test_credits_come_near_the_games_and_neither_unit_nor_baseline_moves_the_excess(kind):
    game = build(kind, 12, 0)
    rows = propose_coalitions(12, 120, seed=0)
    values = game.value(rows)
    credits = surrogate_credits(rows, values)
    assert credits.sum() == pytest.approx(values[rows.all(axis=1)][0] - values[~rows.any(axis=1)][0])
    error = np.square(credits - credits.mean() - game.excess).sum() / np.square(game.excess).sum()
    assert error < 0.06
    low = values - 1e3 * ~rows.any(axis=1)
    other = surrogate_credits(rows, 1e-4 * low + 7)
    assert np.allclose((other - other.mean()) * 1e4, credits - credits.mean(), atol=1e-6)
    assert fit_surrogate(rows, values).predict(rows[:1])[0] == pytest.approx(values[0], rel=0.05)


def test_papers_estimator_gets_an_additive_game_right_and_counts_repeats():
    game = additive(np.array([1.0, -2.0, 0.5, 3.0, 0.0]))
    rows = propose_coalitions(5, 60, seed=0, design="kernelshap")[2:]
    assert papers_credits(rows, game.value(rows), 0.0, 2.5) == pytest.approx(game.credits)
    # All 32 coalitions are there by now; the formula stays the paper's, so a row more changes the answer.
    noisy = game.value(rows) + np.random.default_rng(0).standard_normal(58)
    once, more = papers_credits(rows, noisy, 0, 2.5), papers_credits([*rows, rows[0]], [*noisy, noisy[0]], 0, 2.5)
    assert once.sum() == pytest.approx(2.5) and np.abs(once - more).max() > 1e-3


def test_bad_settings_are_refused():
    every = all_coalitions(3)
    for wrong in ({"depth": 0}, {"rate": 0}, {"rate": 1.5}, {"penalty": -1}, {"trees": -1}, {"fewest": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            boost(every, np.zeros(8), **wrong)
    with pytest.raises(ValueError, match="no evaluation of the empty coalition"):
        surrogate_credits(every[1:], np.zeros(7))
