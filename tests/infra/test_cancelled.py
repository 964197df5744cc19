"""A run that no worker started, cancelled as the UI's button does it, on a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.states import Cancelling, Crashed, Running
from prefect.testing.utilities import prefect_test_harness

from flows.command import run
from infra.automations import NO_HEARTBEAT
from infra.cancelled import RunCancelled, run_cancellable
from infra.lease import Lease
from infra.store import Store

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

begun = threading.Event()
runs: list[UUID] = []


@pytest.fixture(scope="module")
def server() -> Iterator[SyncPrefectClient]:
    quiet = {PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(quiet), prefect_test_harness(server_startup_timeout=120):
        url = PREFECT_API_URL.value()
        assert url is not None
        with SyncPrefectClient(url) as client:
            yield client


@task
def wait_long() -> None:
    begun.set()
    time.sleep(30)


@flow(persist_result=False)
def holding(store: str) -> None:
    """Holds a study, in a task that takes long."""
    runs.append(UUID(str(flow_run.id)))
    with Lease(Store(store), "mine", "a test"):
        wait_long()


@flow(persist_result=False)
def quick(number: int) -> int:
    runs.append(UUID(str(flow_run.id)))
    return number + 1


def test_cancelled_in_the_ui_it_ends_as_cancelled_and_gives_its_study_back(
    server: SyncPrefectClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def click() -> None:
        assert begun.wait(60)
        # A click of the UI: the state is forced.
        with SyncPrefectClient(str(server.api_url)) as client:
            client.set_flow_run_state(runs[-1], Cancelling(message="Cancelled from the UI"), force=True)

    begun.clear()
    clicking = threading.Thread(target=click)
    clicking.start()
    before = signal.getsignal(signal.SIGUSR1)

    def command() -> int:
        run_cancellable(holding, f"{tmp_path}", ask_every=0.2)
        return 0

    assert run(command) == 130
    clicking.join()
    assert "the run was cancelled" in capsys.readouterr().err
    state = server.read_flow_run(runs[-1]).state
    assert state is not None and state.is_cancelled()
    store = Store(f"{tmp_path}")
    assert json.loads(store.read(max(store.list("leases/mine"))))["given_back"] is True
    assert signal.getsignal(signal.SIGUSR1) == before


@flow(persist_result=False)
def cancelled_at_its_last_moment(server: str) -> str:
    runs.append(UUID(str(flow_run.id)))
    with SyncPrefectClient(server) as client:
        client.set_flow_run_state(runs[-1], Cancelling(message="Cancelled from the UI"), force=True)
    return "published"


def test_one_that_comes_to_its_end_just_when_it_is_cancelled_is_not_left_cancelling(server: SyncPrefectClient) -> None:
    assert run_cancellable(cancelled_at_its_last_moment, str(server.api_url), ask_every=60) == "published"
    state = server.read_flow_run(runs[-1]).state
    assert state is not None and state.is_cancelled()


def test_one_that_nobody_cancels_returns_what_it_returns(server: SyncPrefectClient) -> None:
    assert run_cancellable(quick, 1, ask_every=0.01) == 2
    state = server.read_flow_run(runs[-1]).state
    assert state is not None and state.is_completed()


def test_ctrl_c_stays_ctrl_c(server: SyncPrefectClient) -> None:
    def interrupt() -> None:
        assert begun.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    begun.clear()
    interrupting = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt) as told:
            run_cancellable(interrupted, ask_every=0.2)
    finally:
        signal.signal(signal.SIGINT, before)
    interrupting.join()
    assert not isinstance(told.value, RunCancelled)


@flow(persist_result=False)
def interrupted() -> None:
    wait_long()


WAITING = """
import sys, time, types, uuid
from infra import cancelled
cancelled.ASK_EVERY, cancelled.WORKER_HAS = 0.5, 1.0
run = types.SimpleNamespace(id=uuid.UUID(sys.argv[2]), deployment_id=uuid.uuid4())
getattr(cancelled, sys.argv[1])(None, run, None)
print("begun", flush=True)
time.sleep(120)
"""


@pytest.mark.parametrize(
    ("hook", "message", "ends"),
    [
        ("end_when_sent_again", f"{NO_HEARTBEAT} 15 min: its machine is gone", True),
        ("end_when_sent_again", "another crash", False),
        ("end_when_cancelled", f"{NO_HEARTBEAT} 15 min: its machine is gone", False),
    ],
)
def test_a_machine_that_slept_ends_what_was_sent_again_and_nothing_else(
    server: SyncPrefectClient, hook: str, message: str, ends: bool
) -> None:
    run = server.create_flow_run(holding, state=Running()).id
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, hook, str(run)],
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(2)
        assert process.poll() is None
        server.set_flow_run_state(run, Crashed(message=message), force=True)
        if ends:
            assert process.wait(60) == -signal.SIGTERM
        else:
            time.sleep(5)
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert server.read_flow_run(run).state_name == "Crashed", "that is what happened"
