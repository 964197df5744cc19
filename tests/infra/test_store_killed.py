"""Writers that are killed at any moment leave whole objects only."""

from __future__ import annotations

import os
import time
from pathlib import Path

from infra.store import Store
from tests.infra.racing import python

WRITER = """
import sys
from infra.store import Store
store, size = Store(sys.argv[1]), 3_000_000
print("ready")
for number in range(10**9):
    content = bytes([number % 256]) * size
    store.write("a/same", content)
    store.create(f"b/{number}", content)
"""


def test_a_writer_that_is_killed_leaves_whole_objects_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    for moment in (0.01, 0.017, 0.031, 0.047, 0.06):
        writer = python(WRITER, tmp_path / "s")
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        until = time.monotonic() + moment
        while time.monotonic() < until:  # readers see whole objects also while it writes
            _assert_whole(store)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        _assert_whole(store)
    assert store.list("a") == ["a/same"]


def _assert_whole(store: Store) -> None:
    for key in ["a/same", *store.list("b")[-2:]]:
        try:
            content = store.read(key)
        except FileNotFoundError:
            continue
        assert len(content) == 3_000_000
        assert content == content[:1] * len(content)


def test_halves_of_killed_writers_are_swept_once_they_are_old(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/kept", b"")
    old, new = tmp_path / f"a/.{'01' * 16}.part", tmp_path / f"a/.{'45' * 16}.part"
    for half in (old, new):
        half.write_bytes(b"ha")
    os.utime(old, (time.time() - 90_000,) * 2)
    store.remove_litter()
    assert not old.exists()
    assert new.exists()  # may be somebody's, who is writing now
    assert store.list("a") == ["a/kept"]
