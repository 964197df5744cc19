"""A real Prefect server, real images and a store of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.testing.utilities import prefect_test_harness

from infra.store import Store
from tests.small import make_data, small_study


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """One server for all tests, a process of its own with a fresh SQLite database."""
    with prefect_test_harness(server_startup_timeout=120):
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


@pytest.fixture
def finished(finished_store: Path, store: Store) -> Store:
    """A store of one's own in which `small_study` has been run."""
    shutil.copytree(finished_store, store.url)
    return store
