"""Where a store is, and which places are refused before any work: with what to do about it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import fsspec
import fsspec.asyn
import pytest

from infra.store import Store, StoreError


def test_a_relative_store_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here")
    store.write("a", b"x")
    monkeypatch.chdir("/")
    assert store.read("a") == b"x"
    assert Store(store.url).read("a") == b"x"
    assert store.where("a") == str(tmp_path / "here/a")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nope://x", "not known"),
        ("s3://", "names no bucket"),
        ("s3://bucket//prefix", "'//' and '..' would be names"),
        ("s3://bucket/../prefix", "'//' and '..' would be names"),
        ("dir::memory://x", "chain"),
        ("simplecache::s3://bucket/x", "chain"),
    ],
)
def test_a_store_that_cannot_be_one_says_what_to_do(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        Store(url)


def test_credentials_in_the_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(StoreError, match="never from the address") as error:
        Store("s3://someone:secret@bucket/prefix")
    assert "secret@" not in str(error.value) and "someone" not in str(error.value)


class _LooksFirst(fsspec.AbstractFileSystem):
    """Has fsspec's own way of creating, as SFTP, SMB and others have: look first, write then."""

    protocol = "looksfirst"


class _TakesAnything(fsspec.asyn.AsyncFileSystem):
    """Takes any option and does nothing with it."""

    protocol = "takesanything"

    async def _pipe_file(self, path: str, value: bytes, **kwargs: object) -> None:
        raise AssertionError("never used")


@pytest.mark.parametrize("kind", [_LooksFirst, _TakesAnything])
def test_a_file_system_without_exclusive_creation_is_refused(kind: type[fsspec.AbstractFileSystem]) -> None:
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    with pytest.raises(StoreError, match=f"{kind.protocol} cannot create an object only if it is absent"):
        Store(f"{kind.protocol}://x/y")


def test_a_store_that_can_be_used_is_marked_as_one_again_and_again(store: Store) -> None:
    store.check()
    store.check()
    Store(store.url).check()
    assert json.loads(store.read("store.json"))["layout"] == 1


def test_a_store_of_another_layout_is_refused(store: Store) -> None:
    store.write("store.json", b'{"layout":2}')
    with pytest.raises(StoreError, match="another version"):
        store.check()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="set CREDIT_STORE to another"):
            Store(str(tmp_path / "store")).check()
    finally:
        tmp_path.chmod(0o700)


def test_a_store_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="set CREDIT_STORE to another"):
        Store(str(tmp_path / "file/store")).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_that_does_not_answer_is_not_an_empty_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/b", b"")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(PermissionError):
            store.exists("a/b")
    finally:
        (tmp_path / "a").chmod(0o700)
