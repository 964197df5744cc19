"""The S3 server is killed while a run writes to it: objects are whole or absent, and the run goes on."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path

import pytest

from infra.digest import sha256
from infra.s3_server import S3Server
from infra.store import Store, StoreError
from tests.faults.running import Nursery, Run, wait_for
from tests.faults.servers import assert_whole, begun_on
from tests.faults.test_kills import trained

pytestmark = [pytest.mark.faults, pytest.mark.s3, pytest.mark.timeout(900)]

LARGE = 64 * 2**20  # bytes: the kill meets them on their way
KILLS = 3


def scored(store: Store, run: Run, scores: int) -> bool:
    return run.ended or len(store.list("ledger/scores")) >= scores


class Writing(threading.Thread):
    """Somebody who writes a large object."""

    def __init__(self, store: Store, key: str, content: bytes) -> None:
        super().__init__(daemon=True)
        self.began = threading.Event()
        self.failed: StoreError | None = None
        self._store, self._key, self._content = store, key, content

    def run(self) -> None:
        self.began.set()
        try:
            self._store.write(self._key, self._content)
        except StoreError as error:
            self.failed = error


def test_a_store_killed_in_mid_write_has_whole_objects_only_and_the_run_goes_on(
    data: Path, own_s3_server: S3Server, nursery: Nursery
) -> None:
    study, store, run = begun_on(own_s3_server, data, nursery)
    for kill in range(1, KILLS + 1):
        done = 8 * kill
        wait_for(partial(scored, store, run, done), what=f"{done} scores")
        assert not run.ended, run.said()
        writing = Writing(store, f"large/{kill}", bytes([kill]) * LARGE)
        writing.start()
        writing.began.wait()
        own_s3_server.kill()
        own_s3_server.start()
        writing.join()
        found = store.list("large")
        assert f"large/{kill}" in found or writing.failed is not None, "a write that was not done was not an error"
        for key in found:
            there = store.read(key)
            assert there == there[:1] * LARGE, f"{key} is half there"
    assert run.wait(600) == 0, run.said()
    assert_whole(store, study.name)
    for key in store.list("ledger"):
        json.loads(store.read(key))
    for key in store.list("models"):
        assert sha256(store.read(key)) == key.rpartition("/")[2].removesuffix(".safetensors")
    names = trained(run)
    again = {name for name in names if names.count(name) > 1}
    assert len(again) <= 2 * KILLS, f"more than those in flight were trained twice: {sorted(again)}"
