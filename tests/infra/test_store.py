"""The store's first promises: whole or absent, one winner, nothing outside, whatever kind of store it is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import sha256
from infra.store import Store, StoreError
from tests.infra.racing import race


def test_what_is_written_is_read_listed_found_and_deleted(store: Store) -> None:
    assert not store.exists("a/b.json")
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json", sha256(b"two")) == b"two"
    assert store.exists("a/b.json")
    assert store.list("a") == ["a/b.json"]
    store.delete("a/b.json")
    store.delete("a/b.json")
    assert not store.exists("a/b.json")
    assert store.list("a") == []
    with pytest.raises(FileNotFoundError):
        store.read("a/b.json")


def test_create_keeps_what_is_there(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_create_has_one_winner_among_threads_every_time(store: Store) -> None:
    rounds, start = range(2 if store.url.startswith("s3") else 50), threading.Barrier(8)
    winners: list[list[int]] = [[] for _ in rounds]

    def attempt(number: int) -> None:
        for r in rounds:
            start.wait()
            if store.create(f"a/{r}", str(number).encode()):
                winners[r].append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [len(won) for won in winners] == [1] * len(rounds)
    for r in rounds:
        assert store.read(f"a/{r}") == str(winners[r][0]).encode()


def test_create_has_one_winner_among_processes_every_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    rounds = range(25)
    results = race(8, lambda number: [store.create(f"a/{r}", f"{number}".encode() * 999) for r in rounds])
    for r in rounds:
        winners = [number for number in range(8) if results[number][r]]
        assert len(winners) == 1
        assert store.read(f"a/{r}") == f"{winners[0]}".encode() * 999
    assert list(tmp_path.rglob(".*")) == []


def test_a_folder_is_not_an_object_and_a_longer_name_is_not_below_a_shorter_one(store: Store) -> None:
    store.write("studies/open/a", b"")
    store.write("studies/openmoji/b", b"")
    assert not store.exists("studies/open")
    assert store.list("studies/open") == ["studies/open/a"]


def test_keys_are_found_where_the_name_of_the_root_occurs_again(tmp_path: Path) -> None:
    for url in (str(tmp_path / "s/s"), f"memory://{tmp_path.name}/s/s"):
        store = Store(url)
        store.write("s/s/s", b"")
        assert store.list("s") == ["s/s/s"]


def test_what_others_put_there_under_names_of_no_key_is_not_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/good", b"")
    for name in ("with space", ".hidden", "-dash", "újabb", "new\nline"):
        (tmp_path / "a" / name).write_bytes(b"")
    assert store.list("a") == ["a/good"]


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../x", "a/..", "/etc/passwd", "", "a//b", "a/", ".hidden", "a\0b", "a\nb", "a b", "~/x", "a\\b", "x\n"],
)
def test_no_key_leaves_the_store(store: Store, key: str) -> None:
    for use in (store.read, store.exists, store.list, store.delete):
        with pytest.raises(StoreError, match="not a key"):
            use(key)
    for change in (store.write, store.create):
        with pytest.raises(StoreError, match="not a key"):
            change(key, b"")


@given(st.text(alphabet="./a\\~\n ", max_size=12))
def test_whatever_is_taken_as_a_key_stays_below_the_root(key: str) -> None:
    store = Store("/nowhere/root")
    try:
        path = store.where(key)
    except StoreError:
        return
    assert os.path.normpath(path) == path
    assert path.startswith("/nowhere/root/")
