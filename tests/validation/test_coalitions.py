"""Coalitions to retrain: distinct, balanced, as many as there are, the same for the same seed."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.validation.coalitions import across_sizes, fixed_size, half


def distinct(rows):
    return len(np.unique(rows, axis=0)) == len(rows)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_one_size_is_distinct_and_balanced_to_within_one_whatever_is_asked(data):
    n = data.draw(st.integers(2, 9))
    size = data.draw(st.integers(1, n - 1))
    count = data.draw(st.integers(1, 150))
    drawn = fixed_size(n, size, count, seed=data.draw(st.integers(0, 5)))
    assert len(drawn.coalitions) == min(count, comb(n, size))
    assert drawn.shortfall == max(count - comb(n, size), 0)
    assert distinct(drawn.coalitions)
    assert (drawn.coalitions.sum(axis=1) == size).all()
    assert np.ptp(drawn.appearances) <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 200), st.integers(0, 5))
def test_across_sizes_is_spread_over_sizes_distinct_and_balanced(n, count, seed):
    drawn = across_sizes(n, count, seed=seed)
    assert len(drawn.coalitions) == min(count, 2**n - 2)
    assert drawn.shortfall == max(count - (2**n - 2), 0)
    assert distinct(drawn.coalitions)
    sizes = np.bincount(drawn.coalitions.sum(axis=1), minlength=n + 1)
    assert sizes[0] == sizes[n] == 0
    open_sizes = [s for s in range(1, n) if sizes[s] < comb(n, s)]
    assert not open_sizes or np.ptp(sizes[open_sizes]) <= 1
    assert np.ptp(drawn.appearances) <= 1


def test_few_across_sizes_lie_evenly_from_small_to_large():
    assert across_sizes(12, 4, seed=0).coalitions.sum(axis=1).tolist() == [2, 5, 7, 10]
    assert across_sizes(12, 11, seed=0).coalitions.sum(axis=1).tolist() == list(range(1, 12))


def test_a_seed_gives_the_same_rows_and_another_seed_others():
    one, again, other = (fixed_size(20, 10, 24, seed=seed).coalitions for seed in (3, 3, 4))
    assert (one == again).all()
    assert (one != other).any()


def test_coalitions_to_avoid_are_not_drawn_and_shorten_what_there_is():
    first = fixed_size(6, 3, 8, seed=0).coalitions
    rest = fixed_size(6, 3, 100, seed=0, avoid=first)
    assert len(rest.coalitions) == 12 and rest.shortfall == 88
    assert distinct(np.concatenate([first, rest.coalitions]))
    mixed = across_sizes(6, 62, seed=1, avoid=first)
    assert len(mixed.coalitions) == 54 and distinct(np.concatenate([first, mixed.coalitions]))


def test_every_pair_of_contributors_is_as_likely_together_as_any_other():
    together = np.zeros((6, 6))
    for seed in range(1500):
        rows = fixed_size(6, 2, 4, seed=seed).coalitions.astype(float)
        together += rows.T @ rows
    pairs = together[np.triu_indices(6, 1)]
    assert np.abs(pairs / 1500 - 4 / 15).max() < 0.06  # s.d. of a share of 1,500 draws is 0.011
    assert np.abs(np.diag(together) / 1500 - 4 / 3).max() < 0.06


def test_many_contributors_are_quick_and_balanced():
    drawn = fixed_size(258, 129, 100, seed=0)
    assert drawn.appearances.tolist() == [50] * 258


def test_half_rounds_up_and_sizes_outside_are_refused():
    assert [half(n) for n in (2, 5, 12)] == [1, 3, 6]
    with pytest.raises(ValueError, match="between 1 and 4"):
        fixed_size(5, 5, 3, seed=0)
    with pytest.raises(ValueError, match="count"):
        fixed_size(5, 2, 0, seed=0)
