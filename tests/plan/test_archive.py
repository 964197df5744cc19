"""The archive, in the columns of today: whose data an evaluation was of, and who of them is still here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.plan.archive import CHANGED, FAILED, TWINS, UNKNOWN, UNSCORED
from tasks.recipe import model_recipe
from tests.plan.past import BOTH, PRUNED, STUDY, Past, data, people, rows


def test_evaluations_from_before_somebody_joined_count_and_the_joiner_is_absent() -> None:
    past, now = Past(), people("a", "b", "c")
    past.evaluate(data("a"))
    past.evaluate(data("a"), data("b"))  # everybody there was
    found = past.archive(now)
    assert rows(found, now) == [[1, 0, 0], [1, 1, 0]]
    assert [outcome.values["heldout_loss"] for outcome in found.outcomes] == [1.0, 2.0]
    assert {job.role for job in found.jobs} == {"archive"}
    assert (found.former, dict(found.ignored)) == ((), {})


def test_coalitions_with_somebody_who_left_get_a_column_of_their_own() -> None:
    past, now = Past(), people("a", "b")
    for members in (("a", "x"), ("y",), ("a", "b", "x"), ("b",)):
        past.evaluate(*map(data, members))
    found = past.archive(now, {data("x"): "Xenia", data("y"): "Ypsilon", data("a"): "a"})
    assert (found.former, found.former_names) == ((data("x"), data("y")), ("Xenia", "Ypsilon"))
    by_names = dict(zip((job.names for job in found.jobs), rows(found, now), strict=True))
    assert by_names == {
        ("b",): [0, 1, 0, 0],
        ("Ypsilon",): [0, 0, 0, 1],  # of leavers alone: not the empty coalition
        ("a", "Xenia"): [1, 0, 1, 0],
        ("a", "b", "Xenia"): [1, 1, 1, 0],  # all of today and a leaver: not the grand coalition
    }
    np.testing.assert_array_equal(found.coalitions(2)[:, 2:], found.former_rows)


def test_old_data_of_somebody_who_is_still_here_no_longer_count() -> None:
    past, now = Past(), people("a", ("b", data("b", 1)))
    past.evaluate(data("b"))
    past.evaluate(data("a"), data("b"))
    past.evaluate(data("a"))
    found = past.archive(now, {data("b"): "b"})
    assert rows(found, now) == [[1, 0]]
    assert (dict(found.ignored), found.former) == ({CHANGED: 2}, ())


def test_old_data_of_somebody_who_is_merged_with_others_now_no_longer_count() -> None:
    past, now = Past(), people("small contributors", "a", merged=("b",))
    past.evaluate(data("b"))
    assert dict(past.archive(now, {data("b"): "b"}).ignored) == {CHANGED: 1}


def test_data_whose_owner_nobody_knows_do_not_count_as_they_could_be_somebodys_old_data() -> None:
    past, now = Past(), people("a", "b")
    past.evaluate(data("a"), data("?"))
    found = past.archive(now, {data("a"): "a"})
    assert not found.jobs and dict(found.ignored) == {UNKNOWN: 1}


def test_a_contributor_with_a_new_name_keeps_their_evaluations() -> None:
    past, now = Past(), people(("Anna", data("a")), "b")
    past.evaluate(data("a"))
    assert rows(past.archive(now, {data("a"): "a"}), now) == [[1, 0]]


def test_every_evaluation_has_one_reason_and_whose_data_they_are_comes_first() -> None:
    past, now = Past(), people("a", ("b", data("b", 1)))
    past.evaluate(data("b"), data("?"), diverged="training loss is nan")
    assert dict(past.archive(now, {data("b"): "b"}).ignored) == {CHANGED: 1}


def test_a_coalition_with_one_of_two_owners_of_the_same_images_is_either_of_theirs_and_both_get_some() -> None:
    names = [f"c{i}" for i in range(6)]
    past, now = Past(), people(("twin 1", data("t")), ("twin 2", data("t")), *names)
    coalitions = [c for size in (1, 2, 3) for c in itertools.combinations(names, size)]
    for others in coalitions:
        past.evaluate(data("t"), *map(data, others))
    past.evaluate(data("t"), data("t"), data("c0"))
    found = past.archive(now)
    table = found.coalitions(8)
    twins = table[:, :2].sum(axis=1)
    assert sorted(twins.tolist()) == [1] * len(coalitions) + [2]
    first = int(table[twins == 1][:, 0].sum())
    assert 0.25 * len(coalitions) < first < 0.75 * len(coalitions)
    for job in found.jobs:  # still the model that was evaluated
        members = [now.contributors[i].fingerprint for i in job.members]
        assert model_recipe(PRUNED, members, STUDY, 0).key == job.model.key


def test_images_that_fewer_own_now_than_then_have_no_column_and_are_counted() -> None:
    past, now = Past(), people(("twin 1", data("t")), "a")
    past.evaluate(data("t"), data("t"))
    past.evaluate(data("x"), data("x"))
    found = past.archive(now, {data("t"): "twin 2", data("x"): "Xenia"})
    assert not found.jobs and dict(found.ignored) == {TWINS: 2}


def test_the_order_is_by_size_and_then_by_key_whatever_was_evaluated_first() -> None:
    coalitions = [c for size in (3, 1, 2) for c in itertools.combinations("abcx", size)]
    one, other = Past(), Past()
    for members in coalitions:
        one.evaluate(*map(data, members))
    for members in reversed(coalitions):
        other.evaluate(*map(data, members))
    first, second = (past.archive(people(*"abc"), {data("x"): "x"}) for past in (one, other))
    assert first.jobs == second.jobs and (first.former_rows == second.former_rows).all()
    order = [(len(job.model.spec["members"]), job.model.key) for job in first.jobs]
    assert order == sorted(order) and len(order) == len(coalitions) - 1  # without everybody of today


WHO = "abcde"
VERSIONS = st.integers(0, 2)
COALITION = st.frozensets(st.tuples(st.sampled_from(WHO), VERSIONS), max_size=5)


@settings(max_examples=80, deadline=None)
@given(
    present=st.dictionaries(st.sampled_from(WHO), st.tuples(VERSIONS, st.booleans()), min_size=2),
    history=st.lists(
        st.tuples(COALITION, st.sampled_from(["good", "good", "unscored", "diverged", "seed 1"])), max_size=14
    ),
    known=st.frozensets(st.tuples(st.sampled_from(WHO), VERSIONS)),
    planned=st.frozensets(st.integers(0, 13), max_size=3),
)
def test_the_rows_are_exactly_those_of_the_definition(
    present: Mapping[str, tuple[int, bool]],
    history: list[tuple[frozenset[tuple[str, int]], str]],
    known: frozenset[tuple[str, int]],
    planned: frozenset[int],
) -> None:
    """People come, leave, change their images and their names; the definition is written out here with sets of data."""
    history = list({(coalition, fate == "seed 1"): (coalition, fate) for coalition, fate in history}.values())
    past, keys = Past(), []
    for coalition, fate in history:
        members = [data(*who) for who in coalition]
        seed, why = int(fate == "seed 1"), "nan" if fate == "diverged" else None
        keys.append(past.evaluate(*members, seed=seed, scored=[] if fate == "unscored" else BOTH, diverged=why))
    named = {(f"{who} of late" if renamed else who): (who, version) for who, (version, renamed) in present.items()}
    now = people(*sorted((name, data(*who)) for name, who in named.items()))
    owners = {data(*who): who[0] for who in known}
    exclude = {key for place, key in enumerate(keys) if place in planned}
    found = past.archive(now, owners, exclude=exclude)

    here, expected, reasons = set(named.values()), {}, Counter[str]()
    for (coalition, fate), key in zip(history, keys, strict=True):
        if fate == "seed 1" or key in exclude or not coalition or coalition == here:
            continue
        strangers = coalition - here
        if any(who in known and who[0] in named for who in strangers):
            reasons[CHANGED] += 1
        elif not strangers <= known:
            reasons[UNKNOWN] += 1
        elif fate != "good":
            reasons[FAILED if fate == "diverged" else UNSCORED] += 1
        else:
            expected[frozenset(data(*who) for who in coalition)] = past.values[key]
    columns = [*(c.fingerprint for c in now.contributors), *found.former]
    table = found.coalitions(len(now.contributors))
    got = {
        frozenset(itertools.compress(columns, row)): outcome.values
        for row, outcome in zip(table, found.outcomes, strict=True)
    }
    assert got == {members: dict.fromkeys(BOTH, value) for members, value in expected.items()}
    assert len(table) == len(expected) and dict(found.ignored) == reasons
    assert list(found.former) == sorted({f for members in expected for f in members} - {data(*who) for who in here})
    assert list(found.former_names) == [owners[f] for f in found.former]
