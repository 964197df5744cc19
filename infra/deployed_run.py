"""A flow run that was started from a deployment, as whoever waits for it sees it: its log, its state, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.filters import LogFilter
from prefect.client.schemas.objects import Log, State
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from infra.prefect_api import client, patiently

Say = Callable[[str], None]

PATIENCE = 300.0  # seconds for which the server may be away; the run goes on without it
QUIET = 30.0  # seconds after which it is said that a silent run still goes on
LOOK = 1.0  # seconds between looks
LATE = timedelta(seconds=10)  # lines of one process may arrive after younger ones of another
_PAGE = 200


class NoDeployment(LookupError):
    """The server has no such deployment."""


class DeployedRun:
    """A run, started now.

    Args:
        deployment: "<flow>/<name>".
        parameters: in place of the deployment's own.
        say: told while the server does not answer.

    Raises:
        NoDeployment: if the server has none of that name.
    """

    def __init__(self, deployment: str, parameters: Mapping[str, Any], say: Say) -> None:
        once = str(uuid4())  # a request whose answer was lost must not start a second run

        def start() -> UUID:
            with client() as server:
                try:
                    found = server.read_deployment_by_name(deployment)
                except ObjectNotFound:
                    raise NoDeployment(deployment) from None
                return server.create_flow_run_from_deployment(
                    found.id, parameters=dict(parameters), idempotency_key=once
                ).id

        self.id: UUID = patiently(start, say, PATIENCE)
        self._printed: set[UUID] = set()
        self._last: datetime | None = None

    def follow(self, say: Say) -> State[Any]:
        """Say every line that the run logs, and every change of its state, until it has ended. Returns its last state."""
        return self._follow(say, float("inf"))

    def cancel(self, say: Say, patience: float = 90.0) -> State[Any]:
        """Ask the run to end, and go on following it until it has, or patience is spent."""
        patiently(self._cancel, say, patience)
        return self._follow(say, patience)

    def _follow(self, say: Say, patience: float) -> State[Any]:
        began = heard = time.monotonic()
        shown: str | None = None
        while True:
            state = patiently(self._state, say, PATIENCE)
            lines = patiently(self._new_lines, say, PATIENCE)
            if state.name != shown:
                shown = state.name
                lines.append(f"the run's state is {shown}")
            for line in lines:
                say(line)
            now = time.monotonic()
            heard = now if lines else heard
            if state.is_final():
                time.sleep(2 * LOOK)  # its last lines are sent in bundles
                for line in patiently(self._new_lines, say, PATIENCE):
                    say(line)
                return patiently(self._state, say, PATIENCE)  # one that ends itself is Crashed before it is Cancelled
            if now - began > patience:
                return state
            if now - heard > QUIET:
                heard = now
                say(f"the run's state is {shown}, nothing new ({now - began:.0f} s)")
            time.sleep(LOOK)

    def _cancel(self) -> None:
        with client() as server:
            server.set_flow_run_state(self.id, Cancelling(message="cancelled by whoever started it"))

    def _state(self) -> State[Any]:
        with client() as server:
            state = server.read_flow_run(self.id).state
        assert state is not None  # one that was started has one
        return state

    def _new_lines(self) -> list[str]:
        found: list[Log] = []
        wanted: dict[str, Any] = {"flow_run_id": {"any_": [self.id]}}
        if self._last is not None:
            wanted["timestamp"] = {"after_": self._last - LATE}
        with client() as server:
            while True:
                page = server.read_logs(
                    LogFilter.model_validate(wanted), limit=_PAGE, offset=len(found), sort=LogSort.TIMESTAMP_ASC
                )
                found += page
                if len(page) < _PAGE:
                    break
        new = [log for log in found if log.id not in self._printed]
        self._printed |= {log.id for log in new}
        self._last = max([log.timestamp for log in found], default=self._last)
        return [f"{log.timestamp.astimezone():%H:%M:%S} | {log.message}" for log in new]
