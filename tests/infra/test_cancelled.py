"""A run that no worker started, cancelled as the UI's button does it, on a real server."""

from __future__ import annotations

import json
import os
import signal
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
from prefect.states import Cancelling
from prefect.testing.utilities import prefect_test_harness

from flows.command import run
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
