"""A real Prefect server, real images and a store of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.states import State
from prefect.testing.utilities import prefect_test_harness

from infra.store import Store
from tests.small import make_data, small_study


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """One server for all tests, a process of its own with a fresh SQLite database.

    Heartbeats are off in this process: nothing here looks at them, and each flow run would wait a second at its end for
    the thread that sends them. Runs in processes of their own have them.
    """
    quiet = {PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(quiet), prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images with real contributors."""
    return make_data(tmp_path_factory.mktemp("data") / "openmoji")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, which the flow will use."""
    url = str(tmp_path / "store")
    monkeypatch.setenv("CREDIT_STORE", url)
    return Store(url)


@pytest.fixture(scope="session")
def finished_store(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store after one run of `small_study`; never written to, only copied."""
    from flows.attribute import attribute

    folder = tmp_path_factory.mktemp("finished") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", str(folder))
        attribute(small_study(data))
    return folder


@pytest.fixture(scope="session")
def in_processes(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, State[Any]]:
    """One run of `small_study` in two worker processes, by the name `shown`: its store, only to be read, and its end."""
    from flows.attribute import attribute

    store = Store(str(tmp_path_factory.mktemp("shown") / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", store.url)
        study = small_study(data, name="shown", execution={"mode": "processes", "workers": 2})
        return store, attribute(study, return_state=True)


@pytest.fixture
def finished(finished_store: Path, store: Store) -> Store:
    """A store of one's own in which `small_study` has been run."""
    shutil.copytree(finished_store, store.url)
    return store
