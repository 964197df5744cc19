"""Servers that tests stop and kill in the middle of runs, and what a run through their work pools left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.job_templates import CPU_POOL, GPU_POOL
from infra.ports import free_port
from infra.s3_server import S3Server
from infra.server import HOST, answers, environment
from infra.store import Store
from tasks.study import Study
from tests.faults.running import Nursery, Run, wait_for
from tests.faults.watching import Watch
from tests.flows.reading import ledger, made, table
from tests.orchestra import POLL_SECONDS, deploy, make_pools
from tests.small import EVALUATIONS, small_study

GONE = 60.0  # seconds: for so long the store is away


class PrefectServer:
    """A Prefect server with a port and a database of its own, to be started and killed as often as needed.

    Args:
        folder: for its database and its log.
    """

    def __init__(self, folder: Path) -> None:
        self.log, port = folder / "server.log", free_port()
        self.url = f"http://{HOST}:{port}/api"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT_SERVER_API_PORT", str(port))
            patch.setenv("PREFECT_HOME", str(folder / "prefect"))
            for name in ("PREFECT_API_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_AUTH_STRING"):
                patch.delenv(name, raising=False)
            self.environment = environment()  # of whoever talks to it
        self._family: list[psutil.Process] = []

    def start(self) -> None:
        """Start it and wait until it answers."""
        ours = {name: value for name, value in self.environment.items() if name != "PREFECT_API_URL"}
        command = [sys.executable, "-m", "prefect", "server", "start"]
        with open(self.log, "ab") as output:
            process = subprocess.Popen(
                command, env=ours, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._process = psutil.Process(process.pid)
        self._popen = process
        try:
            wait_for(lambda: answers(self.url) or process.poll() is not None, 180, "an answer of the Prefect server")
            assert process.poll() is None, self.log.read_text()
        except BaseException:
            self.kill()  # nobody else will: the block was not entered
            raise

    def kill(self) -> None:
        """SIGKILL, to it and to all that it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*self._process.children(recursive=True), self._process]
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            self._popen.wait()
            psutil.wait_procs(family, timeout=30)
        assert not answers(self.url)

    def __enter__(self) -> PrefectServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextlib.contextmanager
def pools_on(server: PrefectServer, beat: int | None = None) -> Iterator[dict[str, str]]:
    """Both work pools with the deployments of a study, on a server that runs; this process talks to it. Yields the
    environment of workers. beat: seconds between the heartbeats of runs, where the pools' own are too many."""
    there = server.environment
    variables = {} if beat is None else {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(beat)}}
    make_pools(there, gpus=2)
    deploy(there, "flows/attribute.py:attribute", "small", CPU_POOL, variables=variables)
    deploy(there, "flows/prepare_epoch.py:prepare_epoch", "gpu", GPU_POOL, variables=variables)
    deploy(there, "flows/evaluate_shard.py:evaluate_shard", "gpu", GPU_POOL, variables=variables)
    with temporary_settings({PREFECT_API_URL: server.url}):
        yield {**there, "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS, "OMP_NUM_THREADS": "1"}


def begun_on(server: S3Server, data: Path, nursery: Nursery) -> tuple[Study, Store, Run]:
    """A run with two workers whose store is on that server, long enough for something to happen to it."""
    study = small_study(data, coalition={"steps": 20}, execution={"mode": "processes", "workers": 2})
    url = server.url("store")
    return study, Store(url), nursery.start(study, url, **server.environment())


def state_of(there: Mapping[str, str], run: UUID) -> str:
    """A run's state, by name."""
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        return str(client.read_flow_run(run).state_name)


def finish(there: Mapping[str, str], run: UUID, seconds: float = 600) -> FlowRun:
    """A run when it has ended."""
    found: list[FlowRun] = []

    def ended() -> bool:
        with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
            found[:] = [client.read_flow_run(run)]
        time.sleep(0.5)
        return found[0].state is not None and found[0].state.is_final()

    wait_for(ended, seconds, f"the end of the run {run}")
    return found[0]


def said_by(there: Mapping[str, str], run: UUID) -> str:
    """A run's log, as the UI shows it."""
    lines: list[str] = []
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        wanted = LogFilter.model_validate({"flow_run_id": {"any_": [run]}})
        while page := client.read_logs(wanted, limit=200, offset=len(lines), sort=LogSort.TIMESTAMP_ASC):
            lines += [line.message for line in page]
    return "\n".join(lines)


def finished(store: Store) -> dict[str, object]:
    """All records, and of the networks in a store that is a folder those that a record names: not those of an evaluation
    that is under way. One that is made again is written again, and has another value here."""
    records = ledger(store)
    named = {json.loads(record).get("sha256") for record in records.values()}
    networks = {key: file for key, file in made(store).items() if any(str(sha256) in key for sha256 in named)}
    return {**records, **networks}


def assert_kept(before: Mapping[str, object], store: Store) -> None:
    """What was finished then is there now, and was not made again."""
    after = finished(store)
    assert {key: after.get(key) for key in before} == dict(before)


def assert_whole(store: Store, study: str) -> None:
    """Each evaluation is there, once, and none failed; `latest.json` names a whole statement, and nothing lies beside it."""
    with Watch(store, study) as watch:
        watch.look()
    assert len(watch.latest) == 1
    evaluations = table(store, study, "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["failure"].isna().all()
    rows = zip(evaluations["members"].map(tuple), evaluations["seed"], strict=True)
    assert len(set(rows)) == EVALUATIONS
    assert {key.split("/")[2] for key in store.list(f"studies/{study}")} == {"latest.json", watch.latest[0]}


def is_given_back(store: Store, study: str) -> bool:
    """Whether the run that held a study last said that it ended. A dead process of this machine holds nothing, whatever its
    lease says: to take the study would show nothing."""
    newest = max(store.list(f"leases/{study}"))  # numbers are padded
    return json.loads(store.read(newest))["given_back"] is True


def end_at_once(*processes: psutil.Process) -> None:
    """SIGKILL, to all of these before any of them notices."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGSTOP)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
