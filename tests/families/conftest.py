"""Tiny bases, made once; whoever changes one has a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.store import Store


@pytest.fixture(scope="module", autouse=True)
def in_one_thread(few_threads: None) -> None:
    """All of this room."""


@pytest.fixture
def own_bases(bases: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(bases, tmp_path / "bases"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))
