"""Tiny bases, made once; whoever changes one has a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.store import Store
from tests.families.building import save_bases


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
