"""Batch picks: what they ask for, and that they tell more than other coalitions would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley import estimate_credits, propose_coalitions
from tasks.shapley.a_optimal import candidates, greedy
from tasks.shapley.gp import condition, gather
from tasks.shapley.validate import check_evaluations
from tests.games import all_coalitions, build


def archive(game, old: int, budget: int, seed: int = 0):
    """Evaluations of the first `old` players, as rows over all."""
    rows = propose_coalitions(old, budget, seed=seed)
    rows = np.concatenate([rows, np.zeros((len(rows), game.n_players - old), dtype=bool)], axis=1)
    return rows, game.value(rows)


@given(seed=st.integers(0, 1000), budget=st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_picks_keep_the_budget_and_repeat_nothing_that_is_known(seed, budget):
    game = build("saturating", 8, seed)
    known = archive(game, 6, 30, seed)
    rows = propose_coalitions(8, budget, seed=seed, known=known, design="a_optimal", sizes=game.sizes)
    both = np.concatenate([known[0], rows])
    assert len(rows) == budget
    assert len(np.unique(both, axis=0)) == len(both)
    if budget:
        assert rows[0].all()  # the new grand coalition was never evaluated, and nothing goes without it


def test_same_arguments_pick_the_same_coalitions():
    game = build("class coverage", 9, 0)
    known = archive(game, 7, 40)
    first, second = (propose_coalitions(9, 12, seed=3, known=known, design="a_optimal") for _ in range(2))
    assert np.array_equal(first, second)


def test_a_budget_beyond_all_coalitions_proposes_each_missing_one_once():
    game = build("additive", 5, 0)
    known = archive(game, 4, 14)
    rows = propose_coalitions(5, 100, seed=0, known=known, design="a_optimal")
    assert len(np.unique(np.concatenate([known[0], rows]), axis=0)) == 32 == len(known[0]) + len(rows)


def test_too_little_known_falls_back_on_the_default_design():
    rows = propose_coalitions(8, 20, seed=0, design="a_optimal")
    assert np.array_equal(rows, propose_coalitions(8, 20, seed=0))


def test_former_players_are_in_no_proposed_coalition():
    game = build("saturating", 8, 0)
    former = np.zeros(8, dtype=bool)
    former[[2, 5]] = True
    known = archive(game, 8, 40)
    for design in ("default", "a_optimal", "kernelshap"):
        rows = propose_coalitions(8, 10, seed=0, known=known, design=design, former=former)
        assert rows.shape == (10, 8) and not rows[:, former].any()


def test_each_pick_lowers_the_summed_variance_of_excess_credits_most():
    """Against trying every candidate with the posterior itself."""
    game = build("saturating", 6, 0)
    known = archive(game, 5, 20)
    evaluations = check_evaluations(
        np.concatenate([known[0], [np.ones(6, bool)]]), np.append(known[1], 1.0), game.sizes
    )
    posterior = condition(evaluations, gather(evaluations, None))
    pool = candidates(evaluations, 30, np.random.default_rng(0))
    centre = np.eye(6) - 1 / 6

    def left(chosen):
        return np.trace(centre @ posterior.covariance_with(pool[chosen]) @ centre)

    chosen: list[int] = []
    for position in greedy(posterior, pool, 4):
        best = min(left([*chosen, other]) for other in range(len(pool)) if other not in chosen)
        chosen.append(position)
        assert left(chosen) <= best * (1 + 1e-9)


def test_joiners_need_far_fewer_evaluations_than_a_fresh_start():
    """Three join twelve: twenty picked coalitions tell more than twenty drawn ones, and come near a fresh start of 150."""
    picked: list[float] = []
    drawn: list[float] = []
    fresh: list[float] = []
    for seed in range(4):
        game = build("class coverage", 15, seed)
        known = archive(game, 12, 120, seed)

        def error(rows, values=None, game=game):
            values = game.value(rows) if values is None else values
            credits = estimate_credits(rows, values, sizes=game.sizes, estimator="gp")
            return ((credits.excess - game.excess) ** 2).sum() / (game.excess**2).sum()

        for found, design in ((picked, "a_optimal"), (drawn, "default")):
            more = propose_coalitions(15, 20, seed=seed, known=known, design=design, sizes=game.sizes)
            found.append(error(np.concatenate([known[0], more])))
        fresh.append(error(propose_coalitions(15, 150, seed=seed)))
    assert np.median(picked) < 0.7 * np.median(drawn)
    assert np.median(picked) < 5 * np.median(fresh)


@pytest.mark.parametrize("estimator", ["gp", "default"])
def test_a_leaver_leaves_credits_of_the_game_without_them(estimator):
    """Coalitions with the leaver inform the surrogate: better than forgetting them, and the intervals say how sure."""
    kept, forgot, covered = [], [], []
    for seed in range(4):
        game = build("saturating", 12, seed)
        rows = propose_coalitions(12, 90, seed=seed)
        former = np.zeros(12, dtype=bool)
        former[3] = True
        rows = np.concatenate([rows, [~former]])
        rest = build_without(game, former)
        noise = 0.05 * game.value(rows).std() * np.random.default_rng(seed).standard_normal(len(rows))
        values = game.value(rows) + noise
        credits = estimate_credits(rows, values, sizes=game.sizes, former=former, estimator=estimator)
        own = ~rows[:, 3]
        alone = estimate_credits(rows[own][:, ~former], values[own], sizes=game.sizes[~former], estimator=estimator)
        assert len(credits.values) == 11
        kept.append(((credits.excess - rest) ** 2).sum())
        forgot.append(((alone.excess - rest) ** 2).sum())
        low, high = credits.excess_interval(0.9)
        covered.append(((low <= rest) & (rest <= high)).mean())
    assert np.mean(kept) < 0.8 * np.mean(forgot)
    assert np.mean(covered) > 0.7


def build_without(game, former):
    """Exact excess credits of the game among those who stay, from its table."""
    n = int((~former).sum())
    rows = np.zeros((2**n, len(former)), dtype=bool)
    rows[:, ~former] = all_coalitions(n)
    credits = estimate_credits(rows[:, ~former], game.value(rows)).values
    return credits - credits.mean()
