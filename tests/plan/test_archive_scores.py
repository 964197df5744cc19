"""The archive: every evaluation of today's recipe that the plan does not hold and that has a value, and no other."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from infra.ledger import ModelRecord
from infra.store import StoreError
from tasks.plan import make_plan
from tasks.plan.archive import FAILED, UNSCORED
from tasks.plan.plan import make_job
from tasks.properties import Denoiser, Statistics, global_property
from tasks.recipe import Recipe
from tasks.study import PropertiesSpec
from tests.plan.past import BOTH, PRUNED, STATISTICS, STUDY, WHEN, Past, data, people, rows


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
    past, now, own = Past(), people("a", "b"), "tests.plan.test_archive_scores:of_weights"
    three = STUDY.model_copy(update={"properties": PropertiesSpec(names=[*BOTH, own])})
    past.evaluate(data("a"), scored=["heldout_loss"], undrawable="samples are nan")
    found = past.archive(now, study=three, statistics={**STATISTICS, own: None})
    assert found.outcomes[0].failures == {"colourfulness": "samples are nan"}


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
