"""What tests of faults share. Nothing starts by itself: whoever needs data, a Prefect API or runs asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from infra.store import Store
from tests.faults.running import Nursery
from tests.small import make_data


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """Address of a Prefect API, a process of its own with a fresh SQLite database."""
    with (
        temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images with real contributors."""
    return make_data(tmp_path_factory.mktemp("data") / "openmoji")


@pytest.fixture(scope="session")
def nursery(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Where runs are started, each a process of its own."""
    with Nursery(prefect_api, tmp_path_factory.mktemp("runs")) as nursery:
        yield nursery


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(str(tmp_path / "store"))
