"""The games' credits are what everything else is held against, so they are held against enumeration."""

import numpy as np
import pytest

from tests.games import LARGEST, NAMED, OTHERS, all_coalitions, build, of_amount, row_numbers, table

KINDS = [*NAMED, *OTHERS, "random table"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_players", [2, 5, 8])
def test_credits_of_every_kind_are_those_of_its_table(kind, n_players):
    game = build(kind, n_players, seed=n_players)
    values = game.value(all_coalitions(n_players))
    assert np.allclose(table(values).credits, game.credits, atol=1e-12)
    assert game.excess.std() > 1e-4  # there is something to find


def test_table_credits_are_mean_marginal_contributions_over_all_orders():
    from itertools import permutations

    values = np.random.default_rng(0).random(16)
    marginal = np.zeros(4)
    for order in permutations(range(4)):
        here = np.zeros(4, dtype=bool)
        for player in order:
            before = values[row_numbers(here[None])[0]]
            here[player] = True
            marginal[player] += (values[row_numbers(here[None])[0]] - before) / 24
    assert np.allclose(table(values).credits, marginal, atol=1e-14)


@pytest.mark.parametrize("kind", [kind for kind in (*NAMED, *OTHERS) if kind not in LARGEST])
def test_closed_forms_stay_efficient_with_258_players(kind):
    game = build(kind, 258, seed=1)
    empty, grand = game.value(np.array([[False] * 258, [True] * 258]))
    assert abs(game.credits.sum() - (grand - empty)) < 1e-12


def test_any_function_of_the_amount_is_exact_at_an_odd_number_of_players_too():
    rng = np.random.default_rng(3)
    units = rng.integers(1, 6, 7)
    game = of_amount(units, rng.standard_normal(units.sum() + 1))  # nothing smooth about it
    assert np.allclose(table(game.value(all_coalitions(7))).credits, game.credits, atol=1e-12)


def test_sizes_predict_credits_only_in_part():
    game = build("additive", 100, seed=0)
    assert 0.5 < np.corrcoef(game.sizes, game.credits)[0, 1] < 0.99
    assert np.abs(np.log(game.credits / game.sizes)).std() > 0.1


def test_kinds_that_need_the_full_table_refuse_more_players():
    with pytest.raises(ValueError, match="at most 12 players"):
        build("random table", 13, seed=0)
    with pytest.raises(ValueError, match="unknown kind"):
        build("roulette", 5, seed=0)
