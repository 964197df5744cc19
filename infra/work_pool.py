"""A Prefect work pool, as whoever sends work to it sees it: send a run, ask which have ended, cancel them.

All runs that are under way are asked about in one request, however many there are, and a server that is away for a while is
waited for: the runs go on without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID, uuid4

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from infra.prefect_api import UNANSWERED, client, patiently
from infra.work_pool_types import Ended, WorkPoolError

T = TypeVar("T")
Say = Callable[[str], None]

PATIENCE = 600.0  # seconds for which a server may be away
UNTOUCHED = 60.0  # seconds after which a run that no worker takes is remarked upon
PAGE = 200  # runs that the server tells of in one answer
LONGEST_PENDING = (
    3600.0  # seconds from a worker's taking a run to its first line: a cluster may have to get a machine first
)
UNDER_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED)


@dataclass(frozen=True)
class _Sent:
    """A run that is under way: when it was sent (`time.monotonic`), and how long it may work."""

    at: float
    longest: float | None


class WorkPool:
    """The work pool behind a deployment. Leaving the block cancels what is still under way.

    Args:
        deployment: "<flow>/<name>".
        queue: of the pool behind it.
        tags: of every run that is sent; a later run of the same study finds by them what was left behind.
        most: runs at a time, where fewer are wanted than the pool has places for; 0 is no such wish.

    Raises:
        WorkPoolError: if there is no such deployment, or it has no work pool or no such queue.
    """

    def __init__(self, deployment: str, queue: str, tags: Collection[str], say: Say, most: int = 0) -> None:
        self.deployment, self.queue, self.tags = deployment, queue, list(tags)
        self._say, self._most = say, most
        self._flying: dict[UUID, _Sent] = {}
        self._warned = time.monotonic()
        self.refresh()

    def refresh(self) -> None:
        """Look the deployment and its pool up again: how many places it has may have changed."""
        self._found, self.name, places = self._patiently(partial(_look_up, self.deployment, self.queue))
        self.places = min(places, self._most or places)

    def __enter__(self) -> WorkPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel("the run that sent this has ended")

    def send(self, name: str, parameters: Mapping[str, Any], longest: float | None = None) -> str:
        """Hand a run to the pool. Returns its id.

        longest: seconds after whose working it is given up: it hangs, or its machine is gone, which nobody else notices.
        """
        once = str(uuid4())  # a request whose answer was lost must not send the run a second time
        run = self._patiently(
            lambda: run_deployment(
                self._found.id,
                parameters=dict(parameters),
                flow_run_name=name,
                timeout=0,
                idempotency_key=once,
                tags=self.tags,
                work_queue_name=self.queue,
            )
        )
        assert isinstance(run, FlowRun)  # called in a synchronous flow, it is no coroutine
        self._flying[run.id] = _Sent(time.monotonic(), longest)
        return str(run.id)

    def ended(self) -> dict[str, Ended]:
        """The runs that have ended since this was last asked."""
        if not self._flying:
            return {}
        runs: list[FlowRun] = self._patiently(partial(self._read, list(self._flying)))
        found = {}
        for run in runs:
            state = run.state
            if state is None:
                continue
            if state.is_final():
                starting = self._patiently(partial(_starting, run.id))
                died = state.is_crashed() and starting is not None
                found[str(run.id)] = Ended(state.is_completed(), _said(run), starting, died)
            elif (why := _given_up(run, self._flying[run.id].longest)) is not None:
                self._patiently(partial(_cancel, run.id, why))
                found[str(run.id)] = Ended(False, why, None, died=run.start_time is not None)
            else:
                continue
            del self._flying[run.id]
        for lost in self._flying.keys() - {run.id for run in runs}:  # somebody deleted it
            del self._flying[lost]
            found[str(lost)] = Ended(False, "the flow run was deleted", None)
        self._remark_untouched([run for run in runs if run.id in self._flying])
        return found

    def finished_tasks(self) -> int:
        """Tasks that the runs under way have finished so far."""
        flying = [str(run) for run in self._flying]
        done = {"state": {"type": {"any_": [StateType.COMPLETED.value]}}}

        def count() -> int:
            with client() as server:
                answers = (
                    server.request(
                        "POST",
                        "/task_runs/count",
                        json={"flow_runs": {"id": {"any_": flying[first : first + PAGE]}}, "task_runs": done},
                    )
                    for first in range(0, len(flying), PAGE)
                )
                return sum(int(answer.json()) for answer in answers)

        return self._patiently(count)

    def cancel(self, why: str) -> None:
        """Ask all runs that are under way to end; `ended` tells when they have."""
        troubles = []
        for run in self._flying:  # each is tried, whatever becomes of the others: they cost money
            try:
                _cancel(run, why)
            except UNANSWERED as trouble:
                troubles.append(f"{run}: {trouble}")
        if troubles:
            self._say(f"{len(troubles)} runs could not be cancelled, cancel them in the UI: {'; '.join(troubles)}")

    def cancel_left_behind(self) -> int:
        """Cancel what an earlier sender with the same tags left behind when it was killed. Returns how many."""
        wanted = FlowRunFilter.model_validate({"tags": {"all_": self.tags}, "state": {"type": {"any_": UNDER_WAY}}})
        why, asked = "the run that sent this was killed, and another one has begun", set[UUID]()
        while True:  # what is cancelled is no longer under way, so each page is a new one
            found: list[FlowRun] = self._patiently(partial(_runs, wanted))
            left = {run.id for run in found} - self._flying.keys() - asked
            if not left:
                return len(asked)
            for run in left:
                self._patiently(partial(_cancel, run, why))
            asked |= left

    def _read(self, ids: list[UUID]) -> list[FlowRun]:
        runs: list[FlowRun] = []
        for first in range(0, len(ids), PAGE):
            runs += _runs(FlowRunFilter.model_validate({"id": {"any_": ids[first : first + PAGE]}}))
        return runs

    def _remark_untouched(self, runs: list[FlowRun]) -> None:
        """Say it when runs lie there and nobody takes them: mostly no worker is running."""
        now = time.monotonic()
        untouched = [
            run
            for run in runs
            if run.state is not None and run.state.is_scheduled() and now - self._flying[run.id].at > UNTOUCHED
        ]
        if not untouched or now - self._warned < UNTOUCHED:
            return
        self._warned = now
        online = self._patiently(partial(_online, self.name))
        self._say(
            f"{len(untouched)} runs wait for a worker of the work pool '{self.name}', queue '{self.queue}', for more than "
            f"{UNTOUCHED:.0f} s; {online} workers are online"
            + ("" if online else f". Start one: prefect worker start --pool {self.name}")
        )

    def _patiently(self, call: Callable[[], T]) -> T:
        return patiently(call, self._say, PATIENCE)


def places_of(deployment: str, queue: str) -> int:
    """How many runs of a deployment can go on at a time. Raises WorkPoolError as WorkPool does."""
    return WorkPool(deployment, queue, (), lambda text: None).places


def _look_up(deployment: str, queue: str) -> tuple[DeploymentResponse, str, int]:
    """The deployment, the name of its pool, and how many runs can go on there at a time."""
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
    return found, name, max(1, min(limits) if limits else _online(name))


def _online(pool: str) -> int:
    """Workers that look for work in a pool."""
    with client() as server:
        return sum(worker.status == "ONLINE" for worker in server.read_workers_for_work_pool(pool))


def _runs(wanted: FlowRunFilter) -> list[FlowRun]:
    """One page of runs."""
    with client() as server:
        return server.read_flow_runs(flow_run_filter=wanted, limit=PAGE)


def _cancel(run: UUID, why: str) -> None:
    with client() as server:
        try:
            server.set_flow_run_state(run, Cancelling(message=why))
        except ObjectNotFound:
            return  # deleted meanwhile


def _given_up(run: FlowRun, longest: float | None) -> str | None:
    """Why a run is no longer waited for, if it is not."""
    assert run.state is not None
    now = datetime.now(UTC)
    if run.state.is_pending() and (now - run.state.timestamp).total_seconds() > LONGEST_PENDING:
        return f"a worker took it, and it did not begin within {LONGEST_PENDING / 60:.0f} min"
    if longest is not None and run.state.is_running() and (now - run.state.timestamp).total_seconds() > longest:
        return f"it did not end within {longest / 60:.0f} min: it hangs, or its machine is gone"
    return None


def _starting(run: UUID) -> float | None:
    """Seconds from a worker's taking the run to its first line of code, last time it was taken."""
    taken: datetime | None = None
    seconds: float | None = None
    with client() as server:
        try:
            states = server.read_flow_run_states(run)
        except ObjectNotFound:
            return None
    for state in sorted(states, key=lambda state: state.timestamp):
        if state.is_pending():
            taken = state.timestamp
        elif state.is_running() and taken is not None:
            seconds = (state.timestamp - taken).total_seconds()
    return seconds


def _said(run: FlowRun) -> str:
    assert run.state is not None
    return f"{run.state.name}: {run.state.message or 'no message'}"
