"""Credits against games whose Shapley values are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley import MeasuredNoise, estimate_credits, propose_coalitions
from tests.games import (
    additive,
    all_coalitions,
    class_coverage,
    family,
    pooled_entropy,
    random_table,
    saturating,
    table,
    thresholded,
)
from tests.shapley.every_estimator import NAMES


def test_closed_forms_agree_with_the_table_of_the_same_game():
    rng = np.random.default_rng(0)
    for game in (
        additive(rng.random(7)),
        saturating(rng.random(7)),
        class_coverage(rng.random((7, 4)), rng.dirichlet(np.ones(4))),
    ):
        assert np.allclose(table(game.value(all_coalitions(7))).credits, game.credits, atol=1e-12)


@pytest.mark.parametrize("estimator", NAMES)
@pytest.mark.parametrize("n_players", [2, 3, 6, 10])
def test_complete_tables_give_the_definition_to_nine_digits(n_players, estimator):
    rng = np.random.default_rng(n_players)
    rows = rng.permutation(all_coalitions(n_players))
    labels = rng.random((n_players, 5))
    for game in (random_table(n_players, 3), pooled_entropy(labels), saturating(rng.random(n_players))):
        credits = estimate_credits(rows, game.value(rows), estimator=estimator)
        assert np.abs(credits.values - game.credits).max() < 1e-9
        assert credits.estimator == "definition"
        assert not credits.covariance.any()
        assert not credits.low_budget


def test_complete_table_carries_given_noise_through_the_definition():
    game = thresholded(np.arange(1.0, 6.0))
    rows = all_coalitions(5)
    rng = np.random.default_rng(0)
    drawn = np.array([estimate_credits(rows, game.value(rows) + rng.normal(0, 0.1, 32)).values for _ in range(500)])
    covariance = estimate_credits(rows, game.value(rows), noise=MeasuredNoise(0.01)).covariance
    assert np.abs(covariance - np.cov(drawn.T)).max() < 0.2 * covariance.max()
    # Excess: the same whether the noise of the two ends is there or not, because they have no part in it.
    inner = np.array([row.any() and not row.all() for row in rows])
    excess = drawn - drawn.mean(axis=1, keepdims=True)
    again = np.where(inner, 0, 5.0)
    moved = estimate_credits(rows, game.value(rows) + again, noise=MeasuredNoise(0.01))
    assert np.allclose(moved.excess, estimate_credits(rows, game.value(rows)).excess, atol=1e-12)
    assert np.allclose(moved.excess_covariance, np.cov(excess.T), atol=0.2 * covariance.max())


@pytest.mark.parametrize("estimator", ["kernelshap", "kernelshap_sizes"])
@pytest.mark.parametrize("n_players", [5, 20, 60])
def test_additive_games_without_noise_are_recovered_exactly(n_players, estimator):
    game = additive(np.random.default_rng(1).normal(size=n_players))
    rows = propose_coalitions(n_players, min(4 * n_players, 2**n_players - 4), seed=0)
    credits = estimate_credits(rows, game.value(rows), estimator=estimator)
    assert np.allclose(credits.values, game.credits, atol=1e-9)
    assert np.abs(credits.covariance).max() < 1e-15


def test_two_player_interactions_and_any_size_curve_cancel_in_pairs():
    rng = np.random.default_rng(2)
    pairwise, weights, curve = rng.normal(size=(8, 8)), rng.normal(size=8), rng.normal(size=9) * 10
    rows = propose_coalitions(8, 64, seed=1)

    def value(asked):
        return asked @ weights + np.einsum("ki,ij,kj->k", asked, pairwise, asked) + curve[asked.sum(axis=1)]

    truth = table(value(all_coalitions(8).astype(float).astype(int))).credits
    credits = estimate_credits(rows, value(rows.astype(int)), estimator="kernelshap_sizes")
    assert np.allclose(credits.values, truth, atol=1e-9)


def test_default_beats_the_papers_estimator_many_times_over_at_equal_budget():
    ratios = []
    for game in family(10, 4)[1:]:
        paper_rows = propose_coalitions(10, 100, seed=0, design="kernelshap")
        rows = propose_coalitions(10, 100, seed=0)
        paper = estimate_credits(paper_rows, game.value(paper_rows), estimator="kernelshap")
        ours = estimate_credits(rows, game.value(rows))
        ratios.append(((paper.excess - game.excess) ** 2).sum() / ((ours.excess - game.excess) ** 2).sum())
    assert np.exp(np.mean(np.log(ratios))) > 10


@settings(max_examples=25, deadline=None)
@given(n_players=st.integers(3, 8), seed=st.integers(0, 10**6))
def test_null_and_twin_players_are_seen_as_such_on_a_complete_table(n_players, seed):
    rows = all_coalitions(n_players)
    half = np.random.default_rng(seed).standard_normal(2**n_players)
    # Player 0 changes nothing; players 1 and 2 are exchangeable.
    stripped = rows.copy()
    stripped[:, 0] = False
    swapped = stripped.copy()
    swapped[:, [1, 2]] = stripped[:, [2, 1]]
    number = 1 << np.arange(n_players)
    values = half[stripped @ number] + half[swapped @ number]
    credits = estimate_credits(rows, values)
    assert abs(credits.values[0]) < 1e-12
    assert np.isclose(credits.values[1], credits.values[2], atol=1e-12)
    assert credits.probability_greater()[1, 2] == 0.5


def test_constant_values_but_for_the_baseline_give_equal_shares():
    rows = propose_coalitions(6, 30, seed=0)
    values = np.where(rows.any(axis=1), 0.7, -3.0)
    credits = estimate_credits(rows, values)
    assert np.allclose(credits.values, 3.7 / 6)
    assert np.all(credits.probability_greater() == 0.5)
    shares, reason = credits.shares()
    assert reason is None and shares is not None and np.allclose(shares, 1 / 6)
