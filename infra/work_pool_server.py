"""What `infra.work_pool` asks a Prefect server: one question a function, none of them repeated here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, LogFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort, LogSort, TaskRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from infra.prefect_api import client
from infra.work_pool_types import WorkPoolError

PAGE = 200  # runs that the server tells of in one answer
LINES = 20  # of a run's log, to find one among them that it wrote itself
OF_THE_RUN = ("prefect.flow_runs", "prefect.task_runs")  # loggers; those below them are of workers and observers
HOLDING = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)  # states in which a run has a place in its pool
NOT_OVER = (StateType.SCHEDULED, StateType.PAUSED, *HOLDING)  # states from which a run may yet write something


@dataclass(frozen=True)
class Life:
    """What a run showed of itself. signs: what it did that the server last heard of, and when, by the server's clock. begun:
    whether any of its tasks did: a run that waits for a card has begun none."""

    signs: frozenset[tuple[UUID, datetime]]
    begun: bool


def look_up(deployment: str, queue: str) -> tuple[DeploymentResponse, str, int]:
    """The deployment, the name of its pool, and how many runs can go on there at a time. Raises WorkPoolError."""
    remedy = "run `make deploy`, or name another one in execution.deployment"
    with client() as server:
        try:
            found = server.read_deployment_by_name(deployment)
        except ObjectNotFound:
            raise WorkPoolError(
                f"execution.mode is 'work_pool', and this Prefect server has no deployment '{deployment}': {remedy}"
            ) from None
        name = found.work_pool_name
        if name is None:
            raise WorkPoolError(f"the deployment '{deployment}' has no work pool: {remedy}")
        try:
            of_queue = server.read_work_queue_by_name(queue, work_pool_name=name).concurrency_limit
        except ObjectNotFound:
            raise WorkPoolError(
                f"the work pool '{name}' has no queue '{queue}': run `make deploy`, or choose another execution.queue"
            ) from None
        limits = [limit for limit in (server.read_work_pool(name).concurrency_limit, of_queue) if limit is not None]
    return found, name, max(1, min(limits) if limits else online(name))


def online(pool: str) -> int:
    """Workers that look for work in a pool."""
    with client() as server:
        return sum(worker.status == "ONLINE" for worker in server.read_workers_for_work_pool(pool))


def holders(pool: str) -> list[FlowRun]:
    """Runs that have a place in a pool, those of others too; the one that has had it longest first. At most a page."""
    holding = FlowRunFilter.model_validate({"state": {"type": {"any_": HOLDING}}})
    there = WorkPoolFilter.model_validate({"name": {"any_": [pool]}})
    with client() as server:
        found = server.read_flow_runs(
            flow_run_filter=holding, work_pool_filter=there, sort=FlowRunSort.START_TIME_ASC, limit=PAGE
        )
    return sorted((run for run in found if run.state is not None), key=lambda run: since(run))


def since(run: FlowRun) -> datetime:
    """Since when a run is in the state in which it is."""
    assert run.state is not None
    return run.state.timestamp


def runs(wanted: FlowRunFilter) -> list[FlowRun]:
    """One page of runs."""
    with client() as server:
        return server.read_flow_runs(flow_run_filter=wanted, limit=PAGE)


def not_over(tag: str) -> int:
    """How many runs with a tag may yet write something, those too that are being cancelled: until their worker has ended
    them they go on."""
    wanted = FlowRunFilter.model_validate({"tags": {"all_": [tag]}, "state": {"type": {"any_": NOT_OVER}}})
    with client() as server:
        return server.count_flow_runs(flow_run_filter=wanted)


def finished_tasks(of: Collection[UUID]) -> int:
    """Tasks that these runs have finished."""
    ids = [str(run) for run in of]
    done = {"state": {"type": {"any_": [StateType.COMPLETED.value]}}}
    with client() as server:
        answers = (
            server.request(
                "POST",
                "/task_runs/count",
                json={"flow_runs": {"id": {"any_": ids[first : first + PAGE]}}, "task_runs": done},
            )
            for first in range(0, len(ids), PAGE)
        )
        return sum(int(answer.json()) for answer in answers)


def life(run: UUID) -> Life:
    """When a run last began or ended a task, or said something. It says how far it is every few seconds while it trains, so
    one that is silent for long hangs, or its machine is gone."""
    with client() as server:
        tasks = server.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run]}}),
            sort=TaskRunSort.EXPECTED_START_TIME_DESC,  # one after another: the newest has the newest times
            limit=PAGE,  # by a clock of theirs, so the newest need not come first
        )
        said = server.read_logs(
            LogFilter.model_validate({"flow_run_id": {"any_": [run]}}), limit=LINES, sort=LogSort.TIMESTAMP_DESC
        )
    # When the server wrote them down: clocks of other machines may be wrong.
    times = [(each.id, each.updated) for each in tasks] + [(s.id, s.created) for s in said if s.name in OF_THE_RUN]
    return Life(
        frozenset((what, when) for what, when in times if when is not None),
        any(task.start_time is not None for task in tasks),
    )


def cancel(run: UUID, why: str) -> None:
    """Ask a run to end."""
    with client() as server:
        try:
            server.set_flow_run_state(run, Cancelling(message=why))
        except ObjectNotFound:
            return  # deleted meanwhile


@dataclass(frozen=True)
class Past:
    """starting: seconds from a worker's taking a run to its first line of code, last time it was taken; None if it did not
    get there. cancelled: whether somebody asked it to end."""

    starting: float | None
    cancelled: bool


def past(run: UUID) -> Past:
    """What the states of a run tell of it."""
    taken: datetime | None = None
    seconds: float | None = None
    with client() as server:
        try:
            states = server.read_flow_run_states(run)
        except ObjectNotFound:
            return Past(None, False)
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.is_pending():
            taken = state.timestamp
        elif state.is_running() and taken is not None:
            seconds = (state.timestamp - taken).total_seconds()
    return Past(seconds, any(state.is_cancelling() for state in states))


def pages(ids: Collection[UUID]) -> Iterator[FlowRunFilter]:
    """What to ask for to have runs by their ids, a page at a time."""
    every = list(ids)
    for first in range(0, len(every), PAGE):
        yield FlowRunFilter.model_validate({"id": {"any_": every[first : first + PAGE]}})
