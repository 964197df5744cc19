"""A flow run that was started from a deployment, as whoever waits for it sees it: its log, its state, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter
from prefect.client.schemas.objects import Log, State
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling

T = TypeVar("T")
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

    Raises:
        NoDeployment: if the server has none of that name.
    """

    def __init__(self, deployment: str, parameters: Mapping[str, Any]) -> None:
        with _client() as client:
            try:
                found = client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                raise NoDeployment(deployment) from None
            run = client.create_flow_run_from_deployment(found.id, parameters=dict(parameters))
        self.id: UUID = run.id
        self._printed: set[UUID] = set()
        self._last: datetime | None = None

    def follow(self, say: Say) -> State[Any]:
        """Say every line that the run logs, and every change of its state, until it has ended. Returns its last state."""
        return self._follow(say, float("inf"))

    def cancel(self, say: Say, patience: float = 90.0) -> State[Any]:
        """Ask the run to end, and go on following it until it has, or patience is spent."""
        with _client() as client:
            client.set_flow_run_state(self.id, Cancelling(message="cancelled by whoever started it"))
        return self._follow(say, patience)

    def _follow(self, say: Say, patience: float) -> State[Any]:
        began = heard = time.monotonic()
        shown: str | None = None
        while True:
            state = self._patiently(self._state, say)
            lines = self._patiently(self._new_lines, say)
            if state.name != shown:
                shown = state.name
                lines.append(f"the run's state is {shown}")
            for line in lines:
                say(line)
            now = time.monotonic()
            heard = now if lines else heard
            if state.is_final():
                time.sleep(2 * LOOK)  # its last lines are sent in bundles
                for line in self._patiently(self._new_lines, say):
                    say(line)
                return state
            if now - began > patience:
                return state
            if now - heard > QUIET:
                heard = now
                say(f"the run's state is {shown}, nothing new ({now - began:.0f} s)")
            time.sleep(LOOK)

    def _state(self) -> State[Any]:
        with _client() as client:
            state = client.read_flow_run(self.id).state
        assert state is not None  # one that was started has one
        return state

    def _new_lines(self) -> list[str]:
        found: list[Log] = []
        wanted: dict[str, Any] = {"flow_run_id": {"any_": [self.id]}}
        if self._last is not None:
            wanted["timestamp"] = {"after_": self._last - LATE}
        with _client() as client:
            while True:
                page = client.read_logs(
                    LogFilter.model_validate(wanted), limit=_PAGE, offset=len(found), sort=LogSort.TIMESTAMP_ASC
                )
                found += page
                if len(page) < _PAGE:
                    break
        new = [log for log in found if log.id not in self._printed]
        self._printed |= {log.id for log in new}
        self._last = max([log.timestamp for log in found], default=self._last)
        return [f"{log.timestamp.astimezone():%H:%M:%S} | {log.message}" for log in new]

    def _patiently(self, call: Callable[[], T], say: Say) -> T:
        """What a request gives; asked again while the server is away."""
        began = time.monotonic()
        while True:
            try:
                return call()
            except (httpx.TransportError, PrefectHTTPStatusError) as error:
                refused = isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500
                if refused or time.monotonic() - began > PATIENCE:
                    raise
                say(f"the Prefect server does not answer ({type(error).__name__}); asking again")
            time.sleep(5.0)


def _client() -> SyncPrefectClient:
    return get_client(sync_client=True)
