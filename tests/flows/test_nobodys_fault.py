"""A store that stays away, lets nobody in or is full ends the run: no coalition is blamed for it, and none trained again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow

from infra import patience
from infra.store import DiskFull, Store, StoreRefused, StoreUnavailable
from tasks.evaluate import task as under_test
from tasks.evaluate.jobs import Job, Outcome
from tasks.evaluate.memory import OutOfMemory
from tasks.evaluate.task import evaluate_coalition, evaluate_coalitions, evaluate_jobs
from tasks.partition import partition
from tests.evaluate.shards.test_patience import Clock
from tests.flows.test_evaluations import planned
from tests.small import small_study

ERRORS = [DiskFull("no room"), StoreRefused("no rights"), StoreUnavailable("no answer")]


class Raises:
    """A worker to which the same happens every time. It counts the evaluations that it has begun."""

    size = 1

    def __init__(self, error: Exception) -> None:
        self.begun = 0
        self._error = error

    def evaluate(self, job: Job, say: Callable[[str], None]) -> Outcome:
        self.begun += 1
        raise self._error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of whoever waits for the store; and retries are made at once, if any are."""
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    monkeypatch.setattr(under_test, "evaluate_coalition", evaluate_coalition.with_options(retry_delay_seconds=0))
    return clock


def check(worker: Raises, error: Exception, waited: float) -> None:
    """One evaluation was begun, once; with a store that is away it is begun again and again, for ten minutes in all."""
    if isinstance(error, StoreUnavailable):
        assert patience.PATIENCE <= waited < 1.2 * patience.PATIENCE
    else:
        assert (worker.begun, waited) == (1, 0)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_on_this_machine_the_run_ends_with_that_error(data: Path, store: Store, error: Exception, clock: Clock) -> None:
    study = small_study(data, execution={"retries": 2, "failure_tolerance": 0.5})
    plan, parts = planned(study, store)[0], partition(study.data, study.model.resolution)
    worker, began = Raises(error), clock.now

    @flow
    def all_of_them() -> None:
        evaluate_coalitions(study, plan, parts, worker, store)  # type: ignore[arg-type]

    with pytest.raises(type(error), match=str(error)):
        all_of_them()
    check(worker, error, clock.now - began)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_in_a_shard_no_report_blames_the_coalition_in_hand(
    data: Path, store: Store, error: Exception, clock: Clock
) -> None:
    study = small_study(data, execution={"retries": 2})
    worker, began, jobs = Raises(error), clock.now, planned(study, store)[0].jobs[:3]

    @flow
    def shard() -> None:
        evaluate_jobs(study, jobs, 4, worker, store)

    with pytest.raises(type(error), match=str(error)):
        shard()
    check(worker, error, clock.now - began)


def test_what_memory_was_refused_to_in_a_shard_is_left_to_another_process(
    data: Path, store: Store, clock: Clock
) -> None:
    study = small_study(data, execution={"retries": 2})
    worker, jobs = Raises(OutOfMemory("a smaller sampling.batch_size needs less")), planned(study, store)[0].jobs[:3]

    @flow
    def shard() -> tuple[list[Outcome], str | None]:
        return evaluate_jobs(study, jobs, 4, worker, store)

    assert shard() == ([], "OutOfMemory: a smaller sampling.batch_size needs less")
    assert worker.begun == 1
