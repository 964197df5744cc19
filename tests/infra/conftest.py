"""Stores of every kind, for tests of what all of them promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import fsspec.asyn
import pytest

from infra.store import Store


@pytest.fixture(params=["folder", "file-url", "relative", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "s3":
        yield Store(request.getfixturevalue("s3_url"))
        return
    monkeypatch.chdir(tmp_path)
    urls = {
        "folder": f"{tmp_path}/s",
        "file-url": f"file://{tmp_path}/s",
        "relative": "x/../s",
        "memory": f"memory://{tmp_path.name}/s",
    }
    yield Store(urls[request.param])
    fsspec.filesystem("memory").store.clear()
