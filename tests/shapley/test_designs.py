"""What a design promises: budget, no repeats, pairs, balance, and use of what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley import estimate_credits, propose_coalitions
from tests.games import all_coalitions


def as_numbers(rows):
    return {row.tobytes() for row in rows}


@settings(max_examples=60, deadline=None)
@given(
    n_players=st.integers(2, 12),
    budget=st.integers(0, 90),
    known=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_budget_is_used_but_never_exceeded_and_nothing_is_asked_twice(n_players, budget, known, seed):
    rng = np.random.default_rng(seed)
    held = np.unique(rng.random((known, n_players)) < rng.random(), axis=0)
    rows = propose_coalitions(n_players, budget, seed=seed, known=(held, np.zeros(len(held))))
    assert rows.dtype == bool and rows.shape[1] == n_players
    assert len(rows) == min(budget, 2**n_players - len(held))
    assert len(as_numbers(rows)) == len(rows)
    assert not as_numbers(rows) & as_numbers(held)
    assert np.array_equal(rows, propose_coalitions(n_players, budget, seed=seed, known=(held, np.zeros(len(held)))))


@pytest.mark.parametrize("n_players", [2, 3, 4, 8])
def test_a_budget_for_everything_gives_every_coalition_once(n_players):
    rows = propose_coalitions(n_players, 10**6, seed=0)
    assert as_numbers(rows) == as_numbers(all_coalitions(n_players))
    rest = propose_coalitions(n_players, 10**6, seed=1, known=(rows[:3], np.zeros(3)))
    assert as_numbers(rest) == as_numbers(rows[3:])


@pytest.mark.parametrize(("n_players", "budget"), [(3, 6), (7, 50), (10, 64), (20, 100), (51, 300), (300, 700)])
def test_rows_are_complementary_pairs_balanced_over_players_at_every_size(n_players, budget):
    rows = propose_coalitions(n_players, budget, seed=4)
    assert rows[0].all() and not rows[1].any()
    assert as_numbers(rows) == as_numbers(~rows)
    assert np.array_equal(rows[2::2], ~rows[3::2])  # halves stand together: a stopped run has lost at most one
    size = rows.sum(axis=1)
    for s in np.unique(size):
        assert np.ptp(rows[size == s].sum(axis=0)) <= 1, f"size {s}"


def test_sizes_follow_the_kernel_and_full_strata_hand_the_rest_on():
    n_players, pairs = 30, 120
    rows = propose_coalitions(n_players, 2 * pairs + 2, seed=0)
    smaller = np.minimum(rows.sum(axis=1), n_players - rows.sum(axis=1))
    counts = np.bincount(smaller, minlength=16)[1:] / 2
    kernel = 1 / (np.arange(1, 16) * np.arange(29, 14, -1.0))
    kernel[-1] /= 2
    assert counts[0] == 30  # 120 pairs would want 39 of the 30 there are
    rest = kernel[1:] / kernel[1:].sum() * 90
    assert np.abs(counts[1:] - rest).max() <= 2
    assert counts.sum() == pairs


def test_known_halves_are_completed_and_known_sizes_counted():
    first = propose_coalitions(8, 40, seed=0)
    lost = np.array([5, 12, 21])
    held = np.delete(first, lost, axis=0)
    more = propose_coalitions(8, 23, seed=1, known=(held, np.zeros(len(held))))
    assert as_numbers(first[lost]) <= as_numbers(more)
    union = np.concatenate([held, more])
    assert as_numbers(union) == as_numbers(~union)
    # Size 1 was full already; the increment went elsewhere, and together they stay balanced.
    size = union.sum(axis=1)
    assert max(np.ptp(union[size == s].sum(axis=0)) for s in range(1, 8)) <= 2


def test_an_archive_without_the_joiners_is_extended_so_that_joiners_can_be_told_apart():
    old = propose_coalitions(8, 80, seed=0)
    archive = np.concatenate([old, np.zeros((80, 3), dtype=bool)], axis=1)
    more = propose_coalitions(11, 50, seed=1, known=(archive, np.zeros(80)))
    assert len(more) == 50
    weights = np.arange(11.0)
    rows = np.concatenate([archive, more])
    assert np.allclose(estimate_credits(rows, rows @ weights).values, weights, atol=1e-4)


def test_ends_come_first_even_if_the_budget_holds_little_else():
    assert propose_coalitions(5, 0, seed=0).shape == (0, 5)
    assert propose_coalitions(5, 1, seed=0).all()
    ends = propose_coalitions(5, 2, seed=0)
    assert ends[0].all() and not ends[1].any()
    grand = np.ones((1, 5), dtype=bool)
    assert not propose_coalitions(5, 1, seed=0, known=(grand, [1.0])).any()


def test_the_draw_depends_on_the_seed():
    assert not np.array_equal(propose_coalitions(9, 40, seed=0), propose_coalitions(9, 40, seed=1))


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="unknown design 'lhs'; there are: default, a_optimal, kernelshap"):
        propose_coalitions(5, 10, seed=0, design="lhs")
    with pytest.raises(ValueError, match="budget"):
        propose_coalitions(5, -1, seed=0)
    with pytest.raises(ValueError, match="n_players"):
        propose_coalitions(1, 10, seed=0)
    with pytest.raises(ValueError, match="4 columns, but there are 5 players"):
        propose_coalitions(5, 10, seed=0, known=(np.ones((2, 4), dtype=bool), [1.0, 2.0]))
    with pytest.raises(ValueError, match="sizes have shape"):
        propose_coalitions(5, 10, seed=0, sizes=[1, 2])
