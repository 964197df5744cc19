"""What is not what it should be, or far too large, is refused when it is read, and said."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from infra.digest import sha256
from infra.store import Store, StoreError


def test_damage_is_told_from_absence(store: Store) -> None:
    store.write("a", b"good")
    digest = sha256(b"good")
    store.write("a", b"evil")
    with pytest.raises(StoreError, match="changed or damaged"):
        store.read("a", digest)


def test_an_object_of_absurd_size_is_refused_before_it_is_read(store: Store, tmp_path: Path) -> None:
    store.write("a", b"12345")
    with pytest.raises(StoreError, match="too large: 5 bytes"):
        store.read("a", limit=4)
    assert store.read("a", limit=5) == b"12345"


def test_nothing_is_an_object_too(store: Store) -> None:
    store.write("a", b"")
    assert store.read("a", limit=5) == store.read("a") == b""
    assert store.exists("a")
    assert store.entries("a") == {}
    store.write("b/c", b"")
    assert store.entries("b")["b/c"].size == 0


def test_sizes_and_times_are_listed_and_a_version_is_never_that_of_other_content(store: Store) -> None:
    store.write("a/b", b"one")
    first = store.entries("a")["a/b"]
    assert first.written is not None and abs(first.written - time.time()) < 10
    store.write("a/b", b"two")
    second = store.entries("a")["a/b"]
    assert (first.size, second.size) == (3, 3)
    assert first.version is None or first.version != second.version


def test_a_file_larger_than_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with open(tmp_path / "huge.safetensors", "wb") as file:
        file.truncate(2**43)  # a hole: takes no room on the disk
    with pytest.raises(StoreError, match="too large"):
        store.load_arrays("huge.safetensors")


def test_a_pipe_in_the_place_of_a_file_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for key in ("pipe", "folder"):
        with pytest.raises(StoreError, match="not a plain file"):
            Store(str(tmp_path)).read(key)
