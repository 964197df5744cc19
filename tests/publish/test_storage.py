"""Statements in the store: whole or absent, latest.json last, and what killed runs left is removed."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from infra.digest import sha256
from infra.store import Store, StoreError
from tasks.publish.storage import remove_unfinished, store_statement

RUN = "20261123T160000Z-0123abcd"
FILES = {"manifest.json": b"{}", "credits.csv": b"a,b", "plots/one.png": b"png"}


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "s") if request.param == "folder" else f"memory://{tmp_path.name}")


def ours() -> None:
    """Nobody took the study over."""


def publish(store: Store, run: str, study: str = "small") -> str:
    return store_statement(FILES, study, run, "2026-11-23T16:00:00+00:00", store, still_ours=ours)


def test_a_statement_is_there_whole_and_is_the_latest(store: Store) -> None:
    folder = publish(store, "run-1")
    assert {name: store.read(f"{folder}/{name}") for name in FILES} == FILES
    publish(store, "run-2")
    latest = json.loads(store.read("studies/small/latest.json"))
    assert latest["run"] == "run-2"
    assert latest["manifest_sha256"] == sha256(store.read("studies/small/run-2/manifest.json"))


def test_a_published_statement_is_never_changed(store: Store) -> None:
    publish(store, "run-1")
    with pytest.raises(StoreError, match="never changed"):
        publish(store, "run-1")
    assert store.read("studies/small/run-1/credits.csv") == b"a,b"


def test_without_a_manifest_nothing_is_written(store: Store) -> None:
    with pytest.raises(KeyError):
        store_statement({"credits.csv": b""}, "small", "run-1", "", store, still_ours=ours)
    assert store.list("studies") == []


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_a_run_that_lost_the_study_publishes_no_further(store: Store, asked: int) -> None:
    publish(store, "run-1")
    left = [asked]

    def lost() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("taken over")

    with pytest.raises(RuntimeError, match="taken over"):
        store_statement(FILES, "small", "run-2", "", store, still_ours=lost)
    assert json.loads(store.read("studies/small/latest.json"))["run"] == "run-1"
    there = [name for name in FILES if store.exists(f"studies/small/run-2/{name}")]
    assert ("manifest.json" in there) == (asked == 3)
    assert len(there) == {1: 0, 2: 2, 3: 3}[asked]


def test_unfinished_statements_of_this_study_are_removed_and_nothing_else(store: Store) -> None:
    publish(store, "done")
    publish(store, "done", study="small-2")
    halves = (f"small/{RUN}/credits.csv", f"small/{RUN}/plots/one.png")
    for key in (*halves, f"small-2/{RUN}/credits.csv", "small/other.json"):
        store.write(f"studies/{key}", b"")
    store.write("ledger/scores/x.json", b"")
    before = set(store.list("studies"))
    assert remove_unfinished("small", store) == [RUN]
    gone = before - set(store.list("studies"))
    assert gone == {f"studies/{key}" for key in halves}
    assert store.exists("ledger/scores/x.json")
    assert remove_unfinished("small", store) == []


@pytest.mark.parametrize("folder", ["archive/2025", "slides", "20260101", f"copy-of-{RUN}", f"{RUN}.bak", RUN.upper()])
def test_folders_without_the_name_of_a_run_are_peoples_own_and_stay(store: Store, folder: str) -> None:
    store.write(f"studies/small/{folder}/talk.pdf", b"theirs")
    assert remove_unfinished("small", store) == []
    assert store.exists(f"studies/small/{folder}/talk.pdf")


def test_old_halves_of_files_go_with_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("models/whole", b"")
    half = tmp_path / f"models/.{'01' * 16}.part"
    half.write_bytes(b"ha")
    os.utime(half, (time.time() - 90_000,) * 2)
    remove_unfinished("small", store)
    assert not half.exists()
    assert store.exists("models/whole")


def _publish_for_ever(url: str, name: str) -> None:
    files = {f"file-{i}": bytes([i]) * 100_000 for i in range(40)} | {"manifest.json": b"{}"}
    for number in range(10**6):
        store_statement(files, "small", f"20261123T160000Z-{name}{number:07x}", "", Store(url), still_ours=ours)


def test_a_publisher_that_is_killed_leaves_whole_statements_and_halves_that_are_removed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    context = multiprocessing.get_context("fork")  # a fresh Python would take seconds for its imports
    for name, moment in (("a", 0.05), ("b", 0.13), ("c", 0.23)):
        publisher = context.Process(target=_publish_for_ever, args=(store.url, name))
        publisher.start()
        while not any(f"Z-{name}" in key for key in store.list("studies/small")):
            assert publisher.is_alive()
        time.sleep(moment)
        publisher.kill()
        publisher.join()
    remove_unfinished("small", store)
    runs = Counter(key.split("/")[2] for key in store.list("studies/small") if key.count("/") == 3)
    assert set(runs.values()) <= {41}
    if store.exists("studies/small/latest.json"):
        assert json.loads(store.read("studies/small/latest.json"))["run"] in runs
