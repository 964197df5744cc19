"""A Prefect work pool, as whoever sends work to it sees it: send a run, ask which have ended, cancel them.

All runs that are under way are asked about in one request, however many there are, and a server that is away for a while is
waited for: the runs go on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment

from infra import work_pool_server as ask
from infra.automations import BEGINS_WITHIN, counted_out
from infra.patience import PATIENCE
from infra.places import who_holds
from infra.prefect_api import UNANSWERED, briefly, is_answer, patiently
from infra.process import uptime
from infra.sent import Sent
from infra.unbegun import Unbegun
from infra.undisturbed import undisturbed
from infra.work_pool_types import Ended, Say

T = TypeVar("T")

UNTOUCHED = 60.0  # seconds after which a run that no worker takes is remarked upon
# Seconds from a worker's taking a run to its first line: a cluster may have to get a machine first. And from when the server
# last did not answer, if it was away meanwhile, for OUTAGE at least: Prefect's client asks only once for a server that it
# never reached, so a run that was just starting has ended, and its worker could not say so either. Nobody knows where it was
# while it was not asked: for UNASKED it is only if we waited for the store, and both may be on one machine.
LONGEST_PENDING, LONGEST_PENDING_AFTER, OUTAGE, UNASKED, LOOKS = BEGINS_WITHIN, 180.0, 20.0, 60.0, 10.0
LONGEST_SILENT = 6 * 3600.0  # seconds without a sign of life, where nothing was measured or a run waits for a card
LONGEST_CANCELLING = 1800.0  # seconds; Prefect's server ends it after 300, unless that service of it is switched off
ELSEWHERE = "InfrastructurePending"  # a state's name: a cluster has it, which tells what becomes of it when it can
LOOK_AGAIN = 60.0  # seconds between two looks for a sign of life of one run
UNDER_WAY = (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED)


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
        self._flying: dict[UUID, Sent] = {}
        self._unbegun = Unbegun(self._patiently)
        self._away: float | None = None  # when the Prefect server last did not answer, of an outage (`uptime`)
        self._heard = self._warned = uptime()
        self.refresh()

    def refresh(self) -> None:
        """Look the deployment and its pool up again: how many places it has may have changed."""
        self._found, self.name, places = self._patiently(partial(ask.look_up, self.deployment, self.queue))
        self.places = min(places, self._most or places)

    def __enter__(self) -> WorkPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with undisturbed(), briefly():
            self.cancel("the run that sent this has ended")

    def send(self, name: str, parameters: Mapping[str, Any]) -> str:
        """Hand a run to the pool. Returns its id."""
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
        assert run.created is not None  # the server made it
        self._flying[run.id] = Sent(uptime(), run.created)
        return str(run.id)

    def ended(self, silent: float | None = None) -> dict[str, Ended]:
        """The runs that have ended since this was last asked, and those that are given up: a machine that is gone, or a
        card that hangs, which nobody else notices.

        Args:
            silent: seconds without a sign of life (a task that began or ended, a line in the log) after which a run is given
                up. None, where nobody knows, is LONGEST_SILENT; so it is for runs that have begun no task yet: they wait for
                a card, or fetch what they need.
        """
        self._unbegun.see_to()
        if not self._flying:
            return {}
        asked = uptime()
        runs = [run for wanted in ask.pages(self._flying) for run in self._patiently(partial(ask.runs, wanted))]
        found = {}
        for run in runs:
            state = run.state
            if state is None:
                continue
            if state.is_final():
                past = self._patiently(partial(ask.past, run.id))
                # One that is cancelled and ends itself is Crashed for a moment (infra.cancelled).
                crashed = state.is_crashed() and not past.cancelled
                # A machine that went, or slept, is no evaluation's fault; one that wakes sees to itself (infra.cancelled).
                died = crashed and not counted_out(state) and self._patiently(partial(ask.life, run.id)).begun
                if state.is_cancelled() and past.starting is None:
                    self._unbegun.add(run.id)
                found[str(run.id)] = Ended(state.is_completed(), _said(run), past.starting, died)
            elif (given_up := self._given_up(run, silent, asked)) is not None:
                if not state.is_cancelling():
                    self._patiently(partial(ask.cancel, run.id, given_up.said))
                if state.is_pending():
                    self._unbegun.add(run.id)
                found[str(run.id)] = given_up
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
        return self._patiently(partial(ask.finished_tasks, list(self._flying)))

    def cancel(self, why: str) -> None:
        """Ask all runs that are under way to end; `ended` tells when they have. Those too that were given up,
        and may begin all the same."""
        troubles, away = list[str](), False
        # They cost money: each is tried, unless the server is not there, which it is not for any.
        for run in (*self._flying, *self._unbegun.runs):
            if away:
                troubles.append(str(run))
                continue
            try:
                ask.cancel(run, why)
            except UNANSWERED as trouble:
                away = isinstance(trouble, httpx.TransportError)
                troubles.append(f"{run}: {trouble}")
        if troubles:
            self._say(f"{len(troubles)} runs could not be cancelled, cancel them in the UI: {'; '.join(troubles)}")

    def cancel_left_behind(self) -> int:
        """Cancel what an earlier sender with the same tags left behind when it was killed. Returns how many."""
        wanted = FlowRunFilter.model_validate({"tags": {"all_": self.tags}, "state": {"type": {"any_": UNDER_WAY}}})
        why, asked = "the run that sent this was killed, and another one has begun", set[UUID]()
        while True:  # what is cancelled is no longer under way, so each page is a new one
            found: list[FlowRun] = self._patiently(partial(ask.runs, wanted))
            left = {run.id for run in found} - self._flying.keys() - asked
            if not left:
                return len(asked)
            for run in left:
                self._patiently(partial(ask.cancel, run, why))
            asked |= left

    def _given_up(self, run: FlowRun, silent: float | None, asked: float) -> Ended | None:
        """How a run ended that is no longer waited for; None for all others. asked: when the server was asked about it.

        Its work is to blame only if it began and then fell silent for longer than anything of its kind ever took.
        """
        assert run.state is not None
        sent = self._flying[run.id]
        sent.saw_state(run.state.timestamp, asked)
        now = uptime()
        lasts = now - sent.since
        if run.state.is_pending() and lasts > LONGEST_PENDING:
            return Ended(False, f"a worker took it, and it did not begin within {LONGEST_PENDING / 60:.0f} min", None)
        away = self._away
        missed = away is not None and sent.since < away and now - away > LONGEST_PENDING_AFTER
        if run.state.is_pending() and run.state.name != ELSEWHERE and missed:
            said = "a worker took it, the Prefect server was away or not asked, and it did not begin within "
            return Ended(False, f"{said}{LONGEST_PENDING_AFTER / 60:.0f} min after that", None, outage=True)
        if run.state.is_cancelling() and lasts > LONGEST_CANCELLING:
            said = f"it was cancelled, and nobody ended it within {LONGEST_CANCELLING / 60:.0f} min"
            return Ended(False, said, None)
        if not run.state.is_running():
            return None
        allowed = LONGEST_SILENT if silent is None else silent
        if sent.silent(now) <= allowed or now - sent.looked < LOOK_AGAIN:
            return None
        life = self._patiently(partial(ask.life, run.id))
        sent.saw_life(life, now)
        if not life.begun:
            allowed = max(allowed, LONGEST_SILENT)
        if (quiet := sent.silent(now)) <= allowed:
            return None
        said = f"it showed no sign of life for {quiet / 60:.0f} min: it hangs, or its machine is gone"
        return Ended(False, said, None, died=life.begun and silent is not None)

    def _remark_untouched(self, runs: list[FlowRun]) -> None:
        """Say it when runs lie there and nobody takes them: mostly no worker is running."""
        now = uptime()
        untouched = [
            run
            for run in runs
            if run.state is not None and run.state.is_scheduled() and now - self._flying[run.id].at > UNTOUCHED
        ]
        if not untouched or now - self._warned < UNTOUCHED:
            return
        self._warned = now
        online = self._patiently(partial(ask.online, self.name))
        if online:
            why = who_holds(self.name, self._flying, self._patiently)
        else:
            why = f". Start one: prefect worker start --pool {self.name}"
        self._say(
            f"{len(untouched)} runs wait for a worker of the work pool '{self.name}', queue '{self.queue}', for more than "
            f"{UNTOUCHED:.0f} s; {online} workers are online{why}"
        )

    def _patiently(self, call: Callable[[], T]) -> T:
        unanswered, before = list[float](), self._heard

        def noting() -> T:
            try:
                return call()
            except UNANSWERED as error:
                if not is_answer(error):
                    unanswered.append(uptime())
                raise

        answer = patiently(noting, self._say, PATIENCE)
        self._heard = now = uptime()
        # It went at some moment since it last answered; LOOKS is how long that is where we only wait for it.
        if now - before >= UNASKED or (unanswered and now - max(before, unanswered[0] - LOOKS) >= OUTAGE):
            self._away = unanswered[-1] if unanswered else now
        return answer


def places_of(deployment: str, queue: str) -> int:
    """How many runs of a deployment can go on at a time. Raises WorkPoolError as WorkPool does."""
    return WorkPool(deployment, queue, (), lambda text: None).places


def _said(run: FlowRun) -> str:
    assert run.state is not None
    return f"{run.state.name}: {run.state.message or 'no message'}"
