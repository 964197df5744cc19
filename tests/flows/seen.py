"""What people see of a run in the Prefect UI, asked of its API: artifacts, logs, task runs.

Logs and the states of task runs are sent in the background, so what was said last may come a little after the run's end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import Artifact
from prefect.states import State

T = TypeVar("T")
PATIENCE = 60.0  # seconds


def artifacts(key: str) -> list[Artifact]:
    """Every version of an artifact, oldest first."""

    async def read() -> list[Artifact]:
        async with get_client() as client:
            return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))

    return sorted(asyncio.run(read()), key=lambda artifact: str(artifact.created))


def logged(state: State[Any], last: str) -> str:
    """All that a run has logged, a message a line, as soon as `last` is among it."""
    only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[_run(state)]))

    async def read() -> str:
        async with get_client() as client:
            return "\n".join(log.message for log in await client.read_logs(only, limit=200))

    return _soon(lambda: asyncio.run(read()), lambda text: last in text)


def task_runs(state: State[Any], enough: Callable[[list[str]], bool]) -> list[str]:
    """Names of a run's task runs, as soon as they are enough."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[_run(state)]))

    async def read() -> list[str]:
        async with get_client() as client:
            return [task.name for task in await client.read_task_runs(flow_run_filter=of_run, limit=200)]

    return _soon(lambda: asyncio.run(read()), enough)


def flow_run_name(state: State[Any]) -> str:
    """The name of a run."""

    async def read() -> str:
        async with get_client() as client:
            return (await client.read_flow_run(_run(state))).name

    return asyncio.run(read())


def _run(state: State[Any]) -> Any:
    return state.state_details.flow_run_id


def _soon(look: Callable[[], T], enough: Callable[[T], bool]) -> T:
    """What is seen when it is enough, or at the end of all patience: then the test says what is missing."""
    deadline = time.monotonic() + PATIENCE
    while not enough(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return seen
