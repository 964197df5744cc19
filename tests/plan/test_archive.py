"""The archive: every evaluation of today's recipe that the plan does not hold, in the columns of today, and no other."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store, StoreError
from tasks.partition import Contributor, Partition
from tasks.plan import make_plan
from tasks.plan.archive import CHANGED, FAILED, TWINS, UNKNOWN, UNSCORED, Archive, find_archive
from tasks.plan.chain import chain, properties_of
from tasks.plan.plan import make_job
from tasks.properties import Denoiser, Statistics, global_property
from tasks.recipe import Recipe, model_recipe
from tasks.study import PropertiesSpec, Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
WHEN = "2026-01-01T00:00:00+00:00"
BOTH = ("heldout_loss", "colourfulness")  # one is scored on weights, one on images
STUDY = Study.model_validate({"properties": {"names": BOTH}})
STATISTICS: dict[str, str | None] = {"heldout_loss": "d" * 64, "colourfulness": None}
fresh = itertools.count()


def data(owner: str, version: int = 0) -> str:
    """The fingerprint of somebody's images."""
    return f"{owner.encode().hex():0>60}{version:04x}"


def people(*owners: str | tuple[str, str], merged: tuple[str, ...] = ()) -> Partition:
    """Contributors by name, or by (name, fingerprint)."""
    named = [owner if isinstance(owner, tuple) else (owner, data(owner)) for owner in owners]
    contributors = tuple(
        Contributor(name, 10.0, 2.0, 1 / len(named), fingerprint, merged if place == 0 else ())
        for place, (name, fingerprint) in enumerate(named)
    )
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), (), (), np.zeros((0, len(named))), empty, empty)


class Past:
    """A ledger that earlier runs filled, each evaluation with a value of its own."""

    def __init__(self) -> None:
        self.ledger = Ledger(Store(f"memory://archive-{next(fresh)}"))
        self.values: dict[str, float] = {}

    def evaluate(
        self,
        *members: str,
        study: Study = STUDY,
        seed: int = 0,
        pruned: Recipe = PRUNED,
        scored: Collection[str] = BOTH,
        statistics: Mapping[str, str | None] = STATISTICS,
        diverged: str | None = None,
        undrawable: str | None = None,
        unscorable: Mapping[str, str] = {},
    ) -> str:
        """Record the chain of one coalition of fingerprints, as the evaluator does. Returns the key of its model."""
        model = model_recipe(pruned, members, study, seed)
        common: dict[str, Any] = {"created": WHEN, "seconds": 1.0}
        weights = None if diverged else "0" * 64
        self.ledger.record(ModelRecord(**common, key=model.key, spec=model.spec, sha256=weights, failure=diverged))
        if diverged:
            return model.key
        samples, scores = chain(model, study, properties_of(study), statistics, seed)
        assert samples is not None
        if "colourfulness" in scored or undrawable:
            self.ledger.record(
                SamplesRecord(
                    **common,
                    key=samples.key,
                    spec=samples.spec,
                    model=model.key,
                    sha256=None if undrawable else "1" * 64,
                    failure=undrawable,
                )
            )
        value = self.values.setdefault(model.key, float(len(self.values) + 1))
        for name in scored:
            score, why = scores[name], unscorable.get(name)
            self.ledger.record(
                ScoreRecord(
                    **common,
                    key=score.key,
                    spec=score.spec,
                    subject=score.spec["subject"],
                    value=None if why else value,
                    failure=why,
                )
            )
        return model.key

    def archive(
        self,
        partition: Partition,
        owners: Mapping[str, str] = {},
        *,
        study: Study = STUDY,
        statistics: Mapping[str, str | None] = STATISTICS,
        exclude: Collection[str] = (),
    ) -> Archive:
        return find_archive(
            study, partition, PRUNED, statistics, self.ledger, known_owners=owners, exclude=frozenset(exclude)
        )


def rows(archive: Archive, partition: Partition) -> list[list[int]]:
    """Its coalitions as 0 and 1."""
    return archive.coalitions(len(partition.contributors)).astype(int).tolist()


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


def test_both_ends_and_what_the_plan_asks_for_are_not_there_twice() -> None:
    past, now = Past(), people("a", "b", "c")
    past.evaluate()
    past.evaluate(data("a"), data("b"), data("c"))
    planned = past.evaluate(data("a"))
    past.evaluate(data("b"), data("c"))
    assert rows(past.archive(now, exclude=[planned]), now) == [[0, 1, 1]]
    assert not past.archive(now, exclude=[planned]).ignored  # they are used, in the plan


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"pruned": Recipe("pruned", {"reference": "r", "ratio": 0.4})},
        {"study": STUDY.model_copy(update={"coalition": STUDY.coalition.model_copy(update={"steps": 151})})},
        {"study": STUDY.model_copy(update={"coalition": STUDY.coalition.model_copy(update={"mode": "retrain"})})},
    ],
    ids=["seed", "pruned model", "steps", "mode"],
)
def test_evaluations_by_another_recipe_are_another_game(other: dict[str, Any]) -> None:
    past, now = Past(), people("a", "b")
    past.evaluate(data("a"), **other)
    found = past.archive(now)
    assert not found.jobs and not found.ignored


def test_the_reference_and_the_pruned_model_are_no_coalitions() -> None:
    past, now = Past(), people("a", "b")
    reference = Recipe("reference", {"images": "i"})
    for recipe in (PRUNED, reference, Recipe("pruned", {"pruned": PRUNED.key, "members": [1, "a"]})):
        past.ledger.record(
            ModelRecord(key=recipe.key, spec=recipe.spec, seconds=1, created=WHEN, sha256="0" * 64, members=["a"])
        )
    assert not past.archive(now).jobs and not past.archive(now).ignored


def test_a_property_that_was_never_scored_is_missing_and_no_failure() -> None:
    past, now = Past(), people("a", "b")
    past.evaluate(data("a"), scored=["heldout_loss"])
    past.evaluate(data("b"), scored=[])
    found = past.archive(now)
    assert found.outcomes[0].values == {"heldout_loss": 1.0} and not found.outcomes[0].failures
    assert rows(found, now) == [[1, 0]] and dict(found.ignored) == {UNSCORED: 1}


def test_a_score_against_other_reference_statistics_is_not_this_propertys() -> None:
    past, now = Past(), people("a", "b")
    past.evaluate(data("a"), statistics={**STATISTICS, "heldout_loss": "e" * 64})
    assert past.archive(now).outcomes[0].values.keys() == {"colourfulness"}


def test_recorded_failures_give_no_row_and_are_counted() -> None:
    past, now = Past(), people("a", "b", "c", "d")
    past.evaluate(data("a"), diverged="training loss is nan")
    past.evaluate(data("b"), unscorable=dict.fromkeys(BOTH, "one image has no spread"))
    past.evaluate(data("c"), scored=[], undrawable="samples are nan")
    past.evaluate(data("d"), scored=["heldout_loss"], undrawable="samples are nan")
    found = past.archive(now)
    assert rows(found, now) == [[0, 0, 0, 1]] and dict(found.ignored) == {FAILED: 3}
    assert found.outcomes[0].values.keys() == {"heldout_loss"}
    assert found.outcomes[0].failures == {"colourfulness": "samples are nan"}


@global_property(needs="weights", sign=1, unit="1")
def of_weights(denoiser: Denoiser, statistics: Statistics) -> float:
    """A second property that needs no images."""
    return 1.0


def test_images_that_cannot_be_drawn_are_no_failure_of_what_needs_none() -> None:
    past, now, own = Past(), people("a", "b"), "tests.plan.test_archive:of_weights"
    three = STUDY.model_copy(update={"properties": PropertiesSpec(names=[*BOTH, own])})
    past.evaluate(data("a"), scored=["heldout_loss"], undrawable="samples are nan")
    found = past.archive(now, study=three, statistics={**STATISTICS, own: None})
    assert found.outcomes[0].failures == {"colourfulness": "samples are nan"}


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


def test_a_job_of_the_archive_is_to_the_letter_the_job_that_a_plan_makes_and_keeps_its_cost() -> None:
    past, now = (
        Past(),
        people(("a", data("z")), "b", ("c", data("y"))),
    )  # by name, the other way round than by fingerprint
    past.evaluate(data("z"), data("y"))
    row = np.array([True, False, True])
    found = past.archive(now)
    assert found.jobs == (make_job(STUDY, now, PRUNED, STATISTICS, row, "archive", 0),)
    assert found.outcomes[0].seconds == {"load": 0.0, "fine_tune": 1.0, "sample": 1.0, "score": 2.0}
    assert found.outcomes[0].cached


def test_what_a_larger_budget_left_is_the_archive_of_a_smaller_one() -> None:
    past, now = Past(), people(*"abcdef")
    large, small = (
        STUDY.model_copy(update={"estimation": STUDY.estimation.model_copy(update={"budget": budget})})
        for budget in (40, 20)
    )
    before = make_plan(large, now, PRUNED, STATISTICS, past.ledger)
    for job in before.jobs:
        past.evaluate(*job.model.spec["members"], seed=job.seed)
    plan = make_plan(small, now, PRUNED, STATISTICS, past.ledger)
    asked = {job.model.key for job in plan.jobs}
    found = past.archive(now, study=small, exclude=asked)
    left = {job.model.key for job in before.jobs if job.role != "audit"} - asked
    assert {job.model.key for job in found.jobs} == left and len(left) >= 20


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


def test_an_empty_ledger_is_an_empty_archive_of_the_right_shape() -> None:
    found = Past().archive(people("a", "b"))
    assert found == dataclasses.replace(found, jobs=(), outcomes=(), former=(), former_names=(), ignored={})
    assert found.former_rows.shape == (0, 0) and found.coalitions(2).shape == (0, 2)


def test_a_record_that_nobody_can_read_stops_the_search_and_is_named() -> None:
    past, now = Past(), people("a", "b")
    key = past.evaluate(data("a"))
    past.ledger.store.write(f"ledger/models/{key}.json", b"{}")
    with pytest.raises(StoreError, match=key):
        past.archive(now)


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
