"""Whom a method names is removed or kept, each coalition once, and changes are relative to everybody's value."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.validation.counterfactual import CUTS, Cut, most_coalitions, plan_counterfactuals

NAMES = ("Ann", "Ben", "Cyd", "Dee", "Eve")


def members(row):
    return {name for name, there in zip(NAMES, row, strict=True) if there}


def records(plan):
    return plan.asked.to_dict("records")


def test_the_four_cuts_of_five_contributors():
    plan = plan_counterfactuals({"ours": [5, 1, 4, 2, 3]}, NAMES)
    found = {(row["kind"], row["share"]): members(plan.coalitions[row["coalition"]]) for row in records(plan)}
    assert found == {
        ("remove", 0.4): {"Eve", "Dee", "Ben"},
        ("remove", 0.6): {"Dee", "Ben"},
        ("keep", 0.4): {"Ann", "Cyd"},
        ("keep", 0.6): {"Ann", "Cyd", "Eve"},
    }
    assert plan.asked["contributors"].tolist() == [2, 3, 2, 3]


def test_ties_go_by_name_though_columns_stand_otherwise_and_rounding_is_no_order():
    plan = plan_counterfactuals({"flat": [0.3, 0.1 + 0.2, 0.3, 0.3, 0.3]}, NAMES[::-1], [Cut("keep", 0.4)])
    assert {NAMES[::-1][k] for k in np.flatnonzero(plan.coalitions[0])} == {"Ann", "Ben"}


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(0, 500))
def test_a_coalition_that_several_methods_name_is_there_once(n, seed):
    rng = np.random.default_rng(seed)
    credits = {f"method {k}": rng.integers(0, 3, n).astype(float) for k in range(5)}
    names = [f"{k:02d}" for k in range(n)]
    plan = plan_counterfactuals(credits, names)
    assert len(np.unique(plan.coalitions, axis=0)) == len(plan.coalitions) <= len(plan.asked) == 5 * len(CUTS)
    assert len(plan.coalitions) <= most_coalitions(n, len(credits))
    assert set(plan.asked["coalition"]) == set(range(len(plan.coalitions)))
    sizes = plan.coalitions.sum(axis=1)[plan.asked["coalition"]]
    assert ((sizes > 0) & (sizes < n)).all()
    for row, size in zip(records(plan), sizes, strict=True):
        coalition, own = plan.coalitions[row["coalition"]], credits[row["method"]]
        assert size == (row["contributors"] if row["kind"] == "keep" else n - row["contributors"])
        kept = own[coalition] if row["kind"] == "keep" else own[~coalition]
        rest = own[~coalition] if row["kind"] == "keep" else own[coalition]
        assert kept.min() >= rest.max()


def test_changes_are_relative_to_the_size_of_everybodys_value_whatever_its_sign():
    plan = plan_counterfactuals(
        {"a": [3, 2, 1, 0], "b": [3, 2, 1, 0]}, list("wxyz"), [Cut("remove", 0.5), Cut("keep", 0.5)]
    )
    assert len(plan.coalitions) == 2
    table = plan.changes([-12.0, -8.0], -10.0)
    assert table["value"].tolist() == [-12, -8, -12, -8]
    assert table["change"].tolist() == pytest.approx([-0.2, 0.2, -0.2, 0.2])
    assert plan.changes([1.0, 2.0], 0.0)["change"].tolist() == [None] * 4
    with pytest.raises(ValueError, match="values have shape"):
        plan.changes([1.0], 1.0)


def test_shares_round_halves_up_and_never_take_nobody_or_all():
    def counts(n, share):
        return plan_counterfactuals(
            {"m": np.arange(n)}, list("abcdefghijkl")[:n], [Cut("keep", share)]
        ).asked.contributors[0]

    assert [counts(12, 0.4), counts(12, 0.6), counts(5, 0.5), counts(2, 0.1), counts(2, 0.9)] == [5, 7, 3, 1, 1]


def test_the_most_that_can_be_asked_for_is_all_there_are_of_the_cuts_sizes():
    orders = {"".join(map(str, order)): order for order in permutations(range(5))}
    every = plan_counterfactuals(orders, NAMES)  # of five: two or three go, two or three stay
    assert len(every.coalitions) == most_coalitions(5, len(orders)) == 10 + 10
    assert most_coalitions(4, len(orders)) == 6  # of four, always two
    assert most_coalitions(8, 56) == 56 + 56
    assert most_coalitions(100, 3) == 3 * len(CUTS)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"credits of ours have shape \(3,\)"):
        plan_counterfactuals({"ours": [1, 2, 3]}, NAMES)
    with pytest.raises(ValueError, match="each there once"):
        plan_counterfactuals({"ours": [1, 2]}, ["a", "a"])
    with pytest.raises(ValueError, match="share between 0 and 1"):
        plan_counterfactuals({"ours": [1, 2]}, ["a", "b"], [Cut("keep", 1.0)])
