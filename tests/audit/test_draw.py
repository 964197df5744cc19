"""Which coalitions an audit draws: every size weighs the same, and none comes twice while others remain."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.audit.draw import draw_coalitions
from tests.games import all_coalitions

OTHERS, PAIRS, SEEDS = st.integers(1, 30), st.integers(2, 64), st.integers(0, 10**6)


@given(OTHERS, PAIRS, SEEDS)
@settings(deadline=None)
def test_coalitions_differ_and_are_as_many_as_were_asked_for_or_as_there_are(others, pairs, seed):
    draw = draw_coalitions(others, pairs, seed)
    assert len(draw.coalitions) == min(pairs, 2**others) == len({row.tobytes() for row in draw.coalitions})
    assert draw.complete == (pairs >= 2**others)
    assert not draw.coalitions[0].any(), "the empty coalition is always among them"


@given(OTHERS, PAIRS, SEEDS)
@settings(deadline=None)
def test_every_size_weighs_the_same_where_all_are_met(others, pairs, seed):
    draw = draw_coalitions(others, pairs, seed)
    assert draw.weights.sum() == pytest.approx(1)
    sizes = draw.coalitions.sum(axis=1)
    if pairs > others:
        of_size = np.bincount(sizes, weights=draw.weights, minlength=others + 1)
        assert of_size == pytest.approx(np.full(others + 1, 1 / (others + 1)))
        counts = np.bincount(sizes, minlength=others + 1)
        full = np.array([comb(others, s) for s in range(others + 1)])
        open_ = counts < full
        assert not open_.any() or counts[open_].max() - counts[open_].min() <= 1 or counts[0] == 1
    else:
        assert len(set(sizes)) == pairs, "a size comes twice while another is not met"


def test_a_size_is_as_likely_as_any_other_and_so_is_a_coalition_of_it():
    seen, sizes = np.zeros(32), np.zeros(6)
    for seed in range(4000):
        rows = draw_coalitions(5, 3, seed).coalitions[1:]
        sizes += np.bincount(rows.sum(axis=1), minlength=6)
        seen += np.bincount(rows @ (1 << np.arange(5)), minlength=32)
    assert sizes[1:] / 4000 == pytest.approx(np.full(5, 2 / 5), abs=0.03)
    of_two = seen[all_coalitions(5).sum(axis=1) == 2]
    assert of_two / of_two.sum() == pytest.approx(np.full(10, 0.1), abs=0.03)


def test_the_same_seed_draws_the_same_and_another_one_others():
    first, again, other = (draw_coalitions(12, 6, seed).coalitions for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_large_strata_are_not_listed():
    assert len(draw_coalitions(300, 64, 0).coalitions) == 64


@pytest.mark.parametrize(("others", "pairs"), [(0, 2), (3, 1)])
def test_nobody_else_or_a_single_pair_is_refused(others, pairs):
    with pytest.raises(ValueError, match=r"nobody else|at least two"):
        draw_coalitions(others, pairs, 0)
