"""Rounds as such: the budget holds whatever the settings are, and what is asked for depends on the study alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tasks.plan.design import (
    FIRST,
    SHOWN,
    Coalitions,
    distinct,
    first_round,
    is_identified,
    next_round,
    opening,
    picks_left,
    round_size,
)
from tasks.shapley import UnidentifiedError, propose_coalitions
from tasks.study import EstimationSpec

RULE = {"stop_width": 1e-9}


def spec(**fields: Any) -> EstimationSpec:
    return EstimationSpec.model_validate(fields)


def rounds(estimation: EstimationSpec, n: int) -> list[Coalitions]:
    """All rounds of a study whose rule is never satisfied."""
    sizes = np.arange(1.0, n + 1)
    asked = [first_round(estimation, sizes)]
    while len(rows := next_round(estimation, sizes, distinct(np.concatenate(asked)), sum(map(len, asked)))):
        asked.append(rows)
    return asked


specs = st.builds(
    lambda budget, design, rule, batch, seed: spec(
        budget=budget, design=design, batch=batch, seed=seed, **({"stop_top": 1} if rule else {})
    ),
    st.integers(4, 90),
    st.sampled_from(["default", "kernelshap"]),
    st.booleans(),
    st.integers(0, 30),
    st.integers(0, 3),
)


@settings(deadline=None, max_examples=60)
@given(specs, st.integers(2, 9))
def test_the_budget_is_never_exceeded_and_is_used_as_far_as_there_are_coalitions(
    estimation: EstimationSpec, n: int
) -> None:
    try:
        asked = rounds(estimation, n)
    except UnidentifiedError:  # check_budget refuses such a study
        assume(False)
    total = sum(map(len, asked))
    assert total <= estimation.budget
    assert asked[0][:2].sum(axis=1).tolist() == [n, 0]  # both ends come first
    if estimation.design == "default":
        assert total == min(estimation.budget, 2**n)
        assert len(distinct(np.concatenate(asked))) == total  # nothing is asked for twice
    else:
        assert total == estimation.budget
    if not estimation.in_rounds:
        assert len(asked) == 1


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["default", "kernelshap"]), st.integers(4, 9), st.integers(0, 50), st.integers(1, 40))
def test_a_larger_budget_asks_for_all_that_the_smaller_one_asked_for(
    design: str, n: int, first: int, more: int
) -> None:
    small = FIRST * n + n % 2 + first  # below the first round's size a budget is drawn for itself
    a = np.concatenate(rounds(spec(budget=small, design=design, **RULE), n))
    b = np.concatenate(rounds(spec(budget=small + more, design=design, **RULE), n))
    assert np.array_equal(b[: len(a)], a)


@pytest.mark.parametrize("design", ["default", "kernelshap"])
def test_without_a_stop_rule_the_draw_is_the_designs_own(design: str) -> None:
    sizes = np.arange(1.0, 11.0)
    [rows] = rounds(spec(budget=60, design=design, seed=3), 10)
    assert np.array_equal(rows, propose_coalitions(10, 60, seed=3, sizes=sizes, design=design))


def test_the_papers_rounds_are_one_iid_draw_cut_into_pieces() -> None:
    asked = rounds(spec(budget=70, design="kernelshap", estimator="kernelshap", batch=7, **RULE), 8)
    assert len(asked) > 3
    assert np.array_equal(np.concatenate(asked), propose_coalitions(8, 70, seed=0, design="kernelshap"))


def test_the_first_round_is_large_enough_to_be_believed_and_the_others_are_the_batch() -> None:
    sizes = [len(rows) for rows in rounds(spec(budget=80, **RULE), 9)]
    assert sizes == [28, 10, 10, 10, 10, 10, 2]
    assert [len(rows) for rows in rounds(spec(budget=80, batch=21, **RULE), 9)] == [28, 21, 21, 10]
    assert [len(rows) for rows in rounds(spec(budget=20, **RULE), 9)] == [20]


def test_a_first_draw_that_tells_too_little_is_made_longer() -> None:
    sizes = np.ones(4)
    for seed in range(100):  # a few iid draws of three a contributor leave credits undetermined
        estimation = spec(budget=200, design="kernelshap", estimator="kernelshap_sizes", seed=seed, **RULE)
        short = propose_coalitions(4, round_size(estimation, 4, 0), seed=seed, design="kernelshap")
        if not is_identified(short, estimation, sizes):
            break
    else:
        pytest.fail("no seed leaves anything undetermined")
    rows = first_round(estimation, sizes)
    assert len(rows) > len(short) and is_identified(rows, estimation, sizes)


@settings(deadline=None, max_examples=200)
@given(st.integers(4, 100), st.integers(2, 8), st.integers(0, 120), st.integers(0, 100), st.data())
def test_picks_never_go_over_the_budget_and_end_when_it_is_full_and_everybody_was_shown(
    budget: int, n: int, there: int, draws: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 10))
    evaluated = distinct(np.random.default_rng(seed).random((there, n)) < 0.5).reshape(-1, n)
    left = picks_left(spec(budget=budget, design="a_optimal"), evaluated, draws)
    assert left >= 0 and draws + left <= max(budget, draws)
    proper = evaluated[evaluated.any(axis=1) & ~evaluated.all(axis=1)]
    shown = proper.sum(axis=0).min() >= -(-budget // SHOWN) if len(proper) else False
    if len(evaluated) >= budget and shown:
        assert left == 0


def test_a_newcomer_is_shown_in_an_eighth_of_a_budget_that_the_ledger_has_filled() -> None:
    estimation = spec(budget=80, design="a_optimal")
    old = propose_coalitions(9, 100, seed=0)
    evaluated = np.hstack([old, np.zeros((100, 1), dtype=bool)])
    assert picks_left(estimation, evaluated, draws=0) == 2 * 80 // SHOWN
    new = np.ones((10, 10), dtype=bool)
    new[np.arange(10), np.arange(10) % 9] = False
    assert picks_left(estimation, np.concatenate([evaluated, new]), draws=20) == 0


def test_where_the_ledger_is_full_the_first_round_is_the_ends_the_audits_and_whoever_is_new() -> None:
    estimation, sizes = spec(budget=80, design="a_optimal"), np.ones(10)
    full = propose_coalitions(10, 60, seed=9)
    repeated = first_round(estimation, sizes)[[4, 6]]
    known = opening(estimation, sizes, repeated, full)
    assert len(known) == 4 and known[:2].sum(axis=1).tolist() == [10, 0]
    joined = np.hstack([propose_coalitions(9, 60, seed=9), np.zeros((60, 1), dtype=bool)])
    opened = opening(estimation, sizes, np.zeros((0, 10), dtype=bool), joined)
    proper = opened[opened.any(axis=1) & ~opened.all(axis=1)]
    assert proper[:, 9].any() and len(opened) <= 8
