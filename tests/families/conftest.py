"""Tiny bases, made once; whoever changes one has a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.store import Store
from tasks.model.threads import one_thread
from tests.families.building import save_bases


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> Iterator[None]:
    """As all training is done; and networks as small as these are slower on two."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Autoencoders `kl` and `vq` and the pipeline `sd`; only to be read."""
    folder = tmp_path_factory.mktemp("bases")
    save_bases(folder)
    return folder


@pytest.fixture
def own_bases(bases: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(bases, tmp_path / "bases"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))
