"""What is not what it should be, or far too large, is refused when it is read, and said."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from infra.digest import sha256
from infra.store import Store, StoreError, StoreUnavailable


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


FORBIDDEN = PermissionError(errno.EACCES, "Permission denied")
BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("error", [FORBIDDEN, BROKEN], ids=["EACCES", "EIO"])
@pytest.mark.parametrize("unseen", ["studies", "studies/small", "studies/small/run"])
def test_a_folder_that_cannot_be_looked_into_is_an_error_and_never_an_empty_one(
    error: OSError, unseen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.write("studies/small/run/manifest.json", b"{}")
    store.write("studies/other/run/manifest.json", b"{}")
    look = os.scandir

    def scandir(path: Any = ".") -> Any:  # root may look into everything, so chmod would show nothing
        if os.fspath(path) == f"{tmp_path}/{unseen}":
            raise OSError(error.errno, error.strerror, os.fspath(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match=str(error.strerror)) as raised:
        store.list("studies")
    assert raised.value.errno == error.errno


def test_a_folder_that_goes_away_while_it_is_listed_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.write("studies/small/run/manifest.json", b"{}")
    look = os.scandir

    def scandir(path: Any = ".") -> Any:
        if os.fspath(path).endswith("/small"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", os.fspath(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(StoreUnavailable, match="small went away while the store was being listed"):
        store.list("studies")


def test_a_file_that_is_deleted_while_it_is_listed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    for key in ("a/1", "a/2", "a/3"):
        store.write(key, b"x")
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if os.fspath(path).endswith("/a/2"):
            (tmp_path / "a/2").unlink(missing_ok=True)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert store.list("a") == ["a/1", "a/3"]


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_below_a_store_is_refused_by_name_and_never_passed_over(target: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.write("studies/small/run/manifest.json", b"{}")
    (tmp_path / "elsewhere/run").mkdir(parents=True)
    (tmp_path / "store/studies/linked").symlink_to(tmp_path / target)
    with pytest.raises(StoreError, match="studies/linked is a link"):
        store.list("studies")


def test_what_a_link_to_a_file_shows_is_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.write("models/a", b"x")
    (tmp_path / "large").write_bytes(b"12345")
    (tmp_path / "store/models/b").symlink_to(tmp_path / "large")
    assert {key: entry.size for key, entry in store.entries("models").items()} == {"models/a": 1, "models/b": 5}


def test_litter_is_told_by_our_exact_names_and_what_others_hide_stays(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("models/a", b"x")
    ours = tmp_path / f"models/.{'0f' * 16}.part"
    others = [tmp_path / f"models/{name}" for name in (".film.mkv.part", f".{'0F' * 16}.part", ".0123.part")]
    for path in (ours, *others):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - 90_000,) * 2)
    store.remove_litter()
    assert not ours.exists() and all(path.exists() for path in others)
