"""What a plan asks for: the design, both ends, the audit, and nothing that the ledger knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.digest import sha256
from infra.ledger import Ledger, ModelRecord, SamplesRecord, ScoreRecord
from infra.store import Store
from tasks.evaluate.jobs import Job
from tasks.partition import Contributor, Partition
from tasks.plan import Plan, make_plan
from tasks.plan.design import audit_rows, check_budget
from tasks.recipe import Recipe
from tasks.study import Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of real files."""
    return Store(str(tmp_path / "store"))


def people(n: int) -> Partition:
    contributors = tuple(Contributor(f"c{i:02d}", 10.0, 2.0, 1 / n, f"{i:064x}") for i in range(n))
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), (), (), np.zeros((0, n)), empty, empty)


def plan(study: Study, n: int = 8, store: Store | None = None) -> Plan:
    names = study.properties.names
    return make_plan(study, people(n), PRUNED, dict.fromkeys(names), Ledger(store or Store("memory://plan-empty")))


def study(**estimation: object) -> Study:
    return Study.model_validate({"properties": {"names": ["heldout_loss"]}, "estimation": estimation})


def test_the_budget_holds_both_ends_and_the_audit_comes_on_top() -> None:
    made = plan(study(budget=40))
    roles = [job.role for job in made.jobs]
    assert len(roles) - roles.count("audit") == 40
    assert roles.count("baseline") == roles.count("grand") == 1
    assert roles.count("audit") == 4 * 2  # four coalitions under two more seeds each


def test_the_audit_repeats_everybody_and_small_middle_and_large_coalitions_of_the_design() -> None:
    made = plan(study(budget=60))
    design = {job.members for job in made.jobs if job.role in ("design", "grand")}
    repeated = {job.members for job in made.jobs if job.role == "audit"}
    assert repeated <= design and tuple(range(8)) in repeated
    sizes = sorted(len(members) for members in repeated)
    assert sizes[0] <= 2 and sizes[-2] >= 5
    assert {job.seed for job in made.jobs if job.role == "audit"} == {1, 2}


def test_the_papers_draw_gets_both_ends_too() -> None:
    made = plan(study(budget=40, design="kernelshap", estimator="kernelshap"))
    roles = [job.role for job in made.jobs]
    assert roles.count("baseline") == roles.count("grand") == 1
    keys = [(job.members, job.seed) for job in made.jobs]
    assert len(keys) == len(set(keys))  # a repeated row is one evaluation that counts several times
    assert sum(job.draws for job in made.jobs if job.role != "audit") == 40


def test_no_audit_can_be_asked_for() -> None:
    without = Study.model_validate({"coalition": {"audit_coalitions": 0}})
    assert audit_rows(without, np.eye(4, dtype=bool)) == []


@pytest.mark.parametrize("chosen", ["default", "kernelshap"])
def test_a_budget_that_cannot_tell_the_contributors_apart_is_refused_before_it_is_spent(chosen: str) -> None:
    with pytest.raises(ValueError, match=r"estimation\.budget 6 is too small for 8 contributors"):
        check_budget(study(budget=6, design=chosen, estimator=chosen), people(8))
    check_budget(study(budget=40, design=chosen, estimator=chosen), people(8))


@pytest.mark.parametrize("top", [8, 9])
def test_a_top_that_leaves_nobody_to_be_above_is_refused_before_it_is_paid_for(top: int) -> None:
    with pytest.raises(ValueError, match=rf"estimation\.stop_top {top} cannot be settled among 8 contributors"):
        check_budget(study(stop_top=top), people(8))
    check_budget(study(stop_top=7), people(8))


def test_a_joiner_changes_no_key_of_the_coalitions_without_them() -> None:
    def keys(n: int) -> dict[tuple[str, ...], str]:
        return {job.names: job.model.key for job in plan(study(budget=2**n), n).jobs if job.role != "audit"}

    four, five = keys(4), keys(5)
    assert len(four) == 16 and len(five) == 32
    assert all(five[names] == key for names, key in four.items())


def test_what_the_ledger_knows_is_not_submitted_and_keeps_its_cost(tmp_path) -> None:
    store = Store(str(tmp_path / "store"))
    wanted = study(budget=20)
    first = plan(wanted, store=store)
    assert not first.known
    done = first.jobs[3]
    when = "2026-01-01T00:00:00+00:00"
    ledger = Ledger(store)
    ledger.record(ModelRecord(key=done.model.key, spec=done.model.spec, seconds=7.0, created=when, sha256="0" * 64))
    score, model = done.scores["heldout_loss"], done.model.key
    ledger.record(ScoreRecord(key=score.key, spec=score.spec, seconds=1.0, created=when, subject=model, value=0.5))
    second = plan(wanted, store=store)
    assert set(second.known) == {3} and 3 not in second.missing
    assert second.known[3].values == {"heldout_loss": 0.5}
    assert second.known[3].cached and second.known[3].seconds["fine_tune"] == 7.0


def test_a_recorded_failure_is_known_and_not_tried_again(tmp_path) -> None:
    store = Store(str(tmp_path / "store"))
    job = plan(study(budget=20), store=store).jobs[2]
    when = "2026-01-01T00:00:00+00:00"
    record = ModelRecord(key=job.model.key, spec=job.model.spec, seconds=1, created=when, failure="loss is nan")
    Ledger(store).record(record)
    again = plan(study(budget=20), store=store)
    assert again.known[2].failures == {"heldout_loss": "loss is nan"} and not again.known[2].values


WHEN = "2026-01-01T00:00:00+00:00"
BOTH = {"properties": {"names": ["heldout_loss", "colourfulness"]}, "estimation": {"budget": 20}}


def trained(job: Job, store: Store, kept: bool = True) -> str:
    """Record a job's model as trained, with weights of its own in the store if they are kept; their sha256."""
    weights = job.model.key.encode()
    if kept:
        store.write(f"models/{sha256(weights)}.safetensors", weights)
    made: dict[str, Any] = {"seconds": 7.0, "created": WHEN, "sha256": sha256(weights), "kept": kept}
    Ledger(store).record(ModelRecord(key=job.model.key, spec=job.model.spec, **made))
    return sha256(weights)


def drawn(job: Job, store: Store) -> str:
    """Record a job's images as drawn, with images of its own in the store; their sha256."""
    assert job.samples is not None
    images = job.samples.key.encode()
    store.write(f"samples/{sha256(images)}.safetensors", images)
    made: dict[str, Any] = {"seconds": 1.0, "created": WHEN, "sha256": sha256(images), "model": job.model.key}
    Ledger(store).record(SamplesRecord(key=job.samples.key, spec=job.samples.spec, **made))
    return sha256(images)


def test_only_what_needs_no_training_is_said_to_need_none(store: Store) -> None:
    both = Study.model_validate(BOTH)
    first = plan(both, store=store)
    trained(first.jobs[3], store)
    trained(first.jobs[4], store, kept=False)  # its weights are gone, and it was never drawn from
    trained(first.jobs[5], store, kept=False)
    drawn(first.jobs[5], store)
    assert plan(both, store=store).trained == 1  # job 5 lacks a score of its weights, which are gone
    loss, model = first.jobs[5].scores["heldout_loss"], first.jobs[5].model.key
    made: dict[str, Any] = {"seconds": 1.0, "created": WHEN, "subject": model, "value": 0.5}
    Ledger(store).record(ScoreRecord(key=loss.key, spec=loss.spec, **made))
    assert plan(both, store=store).trained == 2


def test_what_was_tidied_away_is_trained_again_and_the_plan_says_so(store: Store) -> None:
    both = Study.model_validate(BOTH)
    first = plan(both, store=store)
    weights = [trained(first.jobs[i], store) for i in (3, 4)]
    images = drawn(first.jobs[3], store)
    assert plan(both, store=store).trained == 2
    store.delete(f"samples/{images}.safetensors")
    assert plan(both, store=store).trained == 2  # drawn again, from its weights
    store.delete(f"models/{weights[1]}.safetensors")
    assert plan(both, store=store).trained == 1
