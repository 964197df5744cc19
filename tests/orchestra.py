"""A Prefect server of one's own with work pools, deployments and workers, all real processes: for tests and benchmarks.

with prefect_server(folder) as environment:              # also of whoever talks to it
    make_pools(environment, gpus=2)
    deploy(environment, "flows/evaluate_shard.py:evaluate_shard", "gpu", GPU_POOL, queue="nightly")
    with running_worker(GPU_POOL, "one", environment, folder) as worker:
        ...
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from prefect.client.orchestration import PrefectClient, SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.states import Crashed
from prefect.utilities.callables import parameter_schema

from infra.pools import make_pools as make
from infra.ports import free_port
from infra.server import environment, running_server

ROOT = Path(__file__).resolve().parents[1]
POLL_SECONDS = "2"  # how often a worker asks; Prefect's own 10 s would be most of a test's time
_TAKEN = re.compile(r"submitting flow run '([0-9a-f-]{36})'")


@contextlib.contextmanager
def prefect_server(folder: Path) -> Iterator[dict[str, str]]:
    """A server on a free port with an empty database in `folder`. Yields the environment in which processes find it."""
    changes = {
        "PREFECT_SERVER_API_PORT": str(free_port()),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": None,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": None,
    }
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        with running_server(folder / "server.log"):
            yield environment()
    finally:
        _set(before)


def _set(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def make_pools(there: Mapping[str, str], gpus: int) -> None:
    """The two pools as `make deploy` makes them, or the limit of `credit-gpu` set anew."""
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        make(client, "process", gpus, lambda: gpus, {})


def deploy(
    there: Mapping[str, str],
    entrypoint: str,
    name: str,
    pool: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> None:
    """A deployment of a flow of this checkout; one that is there already is replaced."""
    flow: Flow[Any, Any] = load_flow_from_entrypoint(str(ROOT / entrypoint))

    async def make(client: PrefectClient) -> None:
        await client.create_deployment(
            await client.create_flow(flow),
            name,
            work_pool_name=pool,
            entrypoint=entrypoint,
            path=str(ROOT),
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            parameters=dict(parameters or {}),
            job_variables=dict(variables or {}),
            parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )

    ask(there, make)


def ask(there: Mapping[str, str], question: Any) -> Any:
    """What `await question(client)` gives, asked of the server of this environment."""

    async def answer() -> Any:
        async with PrefectClient(there["PREFECT_API_URL"]) as client:
            return await question(client)

    return asyncio.run(answer())


def runs_of(there: Mapping[str, str], flow: str) -> list[FlowRun]:
    """All runs of a flow, by the time they were to start."""

    async def read(client: PrefectClient) -> list[FlowRun]:
        wanted = FlowFilter(name=FlowFilterName(any_=[flow]))
        return await client.read_flow_runs(flow_filter=wanted, limit=200, sort=FlowRunSort.EXPECTED_START_TIME_ASC)

    found: list[FlowRun] = ask(there, read)
    return found


def close_runs(there: Mapping[str, str]) -> None:
    """When all workers are stopped: what is under way by the server's book is not, and must not keep a pool's places."""

    async def close(client: PrefectClient) -> None:
        begun = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}
        unfinished = FlowRunFilter.model_validate({"state": begun})
        for run in await client.read_flow_runs(flow_run_filter=unfinished, limit=200):
            await client.set_flow_run_state(run.id, Crashed(message="its worker was stopped"), force=True)

    ask(there, close)


class Worker:
    """A process worker: `prefect worker start`.

    Args:
        there: its environment, which the runs that it starts have as well.
        folder: for its log.
        limit: how many runs it has at a time.
    """

    def __init__(self, pool: str, name: str, there: Mapping[str, str], folder: Path, limit: int | None = 1) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        command = [sys.executable, "-m", "prefect", "worker", "start", f"--pool={pool}", f"--name={name}"]
        command += ["--type=process", *([] if limit is None else [f"--limit={limit}"])]
        if (
            signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):  # as in a shell's background job: workers would inherit that,
            signal.signal(signal.SIGINT, signal.default_int_handler)  # and they end by SIGINT
        with open(self.log, "ab") as output:
            self._process = subprocess.Popen(
                command, env=dict(there), cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def process(self) -> psutil.Process:
        """The worker itself; the runs that it has under way are below it."""
        return psutil.Process(self._process.pid)

    def wait_until_started(self, seconds: float = 120) -> None:
        """Wait until it looks for work."""
        deadline = time.monotonic() + seconds
        while "started!" not in self.log.read_text():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def taken(self) -> list[str]:
        """Ids of the flow runs that it has started, from its own log."""
        return _TAKEN.findall(self.log.read_text())

    def said_since_taking(self) -> str:
        """What its present run has said, or its last one."""
        return self.log.read_text().rpartition("submitting flow run")[2]

    def runs(self) -> list[psutil.Process]:
        """Processes of the flow runs that it has under way."""
        try:
            return psutil.Process(self._process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """End it, and whatever it leaves behind."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=10)


@contextlib.contextmanager
def running_worker(
    pool: str, name: str, there: Mapping[str, str], folder: Path, limit: int | None = 1
) -> Iterator[Worker]:
    """A worker for the length of the block."""
    worker = Worker(pool, name, there, folder, limit)
    try:
        yield worker
    finally:
        worker.stop()
