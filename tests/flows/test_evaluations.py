"""Single evaluations as task runs: what is asked again, what is refused, what a failure says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from flows.attribute import attribute
from infra.lease import LeaseLost
from infra.ledger import Ledger, ModelRecord, SamplesRecord
from infra.store import Store
from tasks.estimate import TooManyFailures
from tasks.evaluate import evaluator
from tasks.evaluate import task as task_of_evaluation
from tasks.evaluate.errors import WorkerDied
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.statistics import prepare_statistics
from tasks.evaluate.task import evaluate_coalition
from tasks.evaluate.workers import InProcess
from tasks.frozen import epoch_at_hand
from tasks.images_gone import ImagesGone
from tasks.opt_out.remove import opt_out
from tasks.partition import Partition, partition
from tasks.partition import task as task_of_partition
from tasks.plan import Plan, make_plan
from tasks.recipe import Recipe, data_recipe, pruned_recipe, reference_recipe
from tasks.study import Study
from tests.flows.reading import ledger, models
from tests.small import small_study


def planned(study: Study, store: Store) -> tuple[Plan, Setting]:
    """The plan and the setting that `attribute` makes of a study whose store is there."""
    parts = partition(study.data, study.model.resolution)
    data = data_recipe(parts, study.model.resolution)
    reference = reference_recipe(study.model, data, None)
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    statistics = prepare_statistics(study, epoch_at_hand(parts, data), store, print)
    pixels = store.save_named_by_content("data", {"train_pixels": parts.train_pixels})
    setting = Setting(store.url, study, pixels, parts.train_digests, parts.ownership, pruned.key, statistics)
    return make_plan(study, parts, pruned, statistics, Ledger(store)), setting


class DiesAfterItsWork:
    """A worker that records everything, and ends before it can say so."""

    size = 1

    def __init__(self) -> None:
        self.asked = 0

    def evaluate(self, job: Job, say: Callable[[str], None]) -> Outcome:
        self.asked += 1
        raise WorkerDied("ended with code -9")


def everything(store: Store) -> list[str]:
    return [key for folder in ("ledger", "models", "samples") for key in store.list(folder)]


def test_a_machine_that_comes_back_after_an_opt_out_records_nothing_of_images_that_were_removed(
    data: Path, finished: Store
) -> None:
    """It was cut off from Prefect, so that nobody could wait for it; its memory still holds the images."""
    plan, setting = planned(small_study(data, coalition={"seed": 99}), finished)
    first, second = [job for job in plan.jobs if job.members][:2]
    evaluator = Evaluator(setting)
    assert evaluator.evaluate(first, print).trained
    finished.delete(f"data/{setting.data_sha256}.safetensors")
    before = everything(finished)
    with pytest.raises(ImagesGone, match="were removed"):
        evaluator.evaluate(second, print)
    assert everything(finished) == before


@pytest.mark.parametrize("made", ["models", "samples"])
@pytest.mark.parametrize("moment", ["before it is stored", "after it is stored"])
def test_images_that_are_removed_while_something_is_made_of_them_leave_nothing_of_it_in_the_store(
    data: Path, finished: Store, monkeypatch: pytest.MonkeyPatch, made: str, moment: str
) -> None:
    plan, setting = planned(small_study(data, coalition={"seed": 98}), finished)
    job = next(job for job in plan.jobs if job.members)
    before = set(finished.list(made))

    def opted_out() -> None:
        finished.delete(f"data/{setting.data_sha256}.safetensors")

    if moment.startswith("before"):
        name = {"models": "train", "samples": "sample"}[made]
        real = getattr(evaluator, name)

        def made_meanwhile(*given: Any, **more: Any) -> Any:
            result = real(*given, **more)
            opted_out()
            return result

        monkeypatch.setattr(evaluator, name, made_meanwhile)
    else:
        write = Store.write

        def written(self: Store, key: str, content: bytes) -> None:
            write(self, key, content)
            if key.startswith(f"{made}/"):
                opted_out()

        monkeypatch.setattr(Store, "write", written)
    with pytest.raises(ImagesGone, match="were removed"):
        Evaluator(setting).evaluate(job, print)
    assert set(finished.list(made)) == before
    # What is recorded must not be made again; so nothing is recorded of what was taken away.
    assert job.samples is not None
    assert Ledger(finished).get(SamplesRecord, job.samples.key) is None
    assert (Ledger(finished).get(ModelRecord, job.model.key) is None) == (made == "models")


def test_who_opts_out_while_images_are_read_is_in_none_that_stay(
    data: Path, finished: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading machine was away for longer than its lease lasts, so that nobody waited for it."""
    for key in finished.list("data"):
        finished.delete(key)
    read = task_of_partition.partition

    def meanwhile(*given: Any, **more: Any) -> Partition:
        parts = read(*given, **more)
        opt_out(finished, "Emily Jäger", "her letter", "a test", print)
        return parts

    @flow
    def reading() -> None:
        task_of_partition.partition_data(small_study(data), finished)

    with monkeypatch.context() as patch:
        patch.setattr(task_of_partition, "partition", meanwhile)
        with pytest.raises(ImagesGone, match="'Emily Jäger' opted out while"):
            reading()
    assert finished.list("data") == []
    reading()
    assert len(finished.list("data")) == 1


def test_whoever_lost_the_study_to_another_run_evaluates_no_more_of_it(
    data: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine slept for longer than its lease lasts: the other one pays for the same coalitions."""
    real, made = Evaluator.evaluate, list[Job]()

    def evaluate(self: Evaluator, job: Job, say: Callable[[str], None]) -> Outcome:
        made.append(job)
        if len(made) == 3:
            store.write("leases/small/00000099.json", b"of another machine")
        return real(self, job, say)

    monkeypatch.setattr(task_of_evaluation, "RENEWAL", 0.0)
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    with pytest.raises(LeaseLost, match="taken over by another run"):
        attribute(small_study(data, execution={"mode": "inline"}))
    assert len(made) == 3


def test_a_worker_that_died_after_its_last_record_costs_nothing_and_its_task_run_is_cached(
    data: Path, finished: Store
) -> None:
    job = planned(small_study(data), finished)[0].jobs[3]
    worker = DiesAfterItsWork()

    @flow
    def one() -> tuple[str | None, Outcome]:
        future = evaluate_coalition.with_options(retries=2).submit(job, "again", worker, finished)
        outcome = future.result()
        state: State[Outcome] = future.state
        assert isinstance(outcome, Outcome)
        return state.name, outcome

    name, outcome = one()
    assert (name, worker.asked) == ("Cached", 1)
    assert outcome.cached and set(outcome.values) == {"heldout_loss", "colourfulness"}


def test_a_property_that_changed_while_the_run_went_on_does_not_score_under_the_old_digest(
    data: Path, finished: Store
) -> None:
    plan, setting = planned(small_study(data), finished)
    job, before = plan.jobs[3], ledger(finished)
    spec = job.scores["colourfulness"].spec
    earlier = Recipe("score", {**spec, "property": {**spec["property"], "version": 0}})  # what the driver had read
    with pytest.raises(RuntimeError, match="colourfulness changed since this run started"):
        InProcess(setting).evaluate(replace(job, scores={"colourfulness": earlier}), print)
    assert ledger(finished) == before


def test_a_failure_without_words_is_a_failure_with_a_reason(data: Path, finished: Store) -> None:
    names = ["heldout_loss", "colourfulness", "tests.flows.wordless:wordless"]
    with pytest.raises(TooManyFailures, match="ValueError without a message"):
        attribute(small_study(data, properties={"names": names}))


def test_too_few_images_for_a_property_are_refused_before_anything_is_trained(data: Path, store: Store) -> None:
    names = ["heldout_loss", "frechet_lite"]
    with pytest.raises(ValueError, match=r"frechet_lite needs at least 33 images .* sampling.images is 24"):
        attribute(small_study(data, properties={"names": names}))
    assert models(store) == 0
