"""When objects were written: what decides what is old enough to go."""

from __future__ import annotations

import os
import time
from pathlib import Path

from infra.store import Store


def last_written(store: Store, prefix: str) -> dict[str, float | None]:
    return {key: entry.written for key, entry in store.entries(prefix).items()}


def is_now(store: Store) -> None:
    before = time.time()
    store.write("models/a.safetensors", b"1")
    store.write("reference/x/y.json", b"2")
    written = {**last_written(store, "models"), **last_written(store, "reference")}
    assert set(written) == {"models/a.safetensors", "reference/x/y.json"}
    assert all(
        when and before - 5 < when < time.time() + 5 for when in written.values()
    )  # whole seconds, another clock
    assert last_written(store, "nothing") == {}


def test_in_a_folder_it_is_the_files_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    is_now(store)
    os.utime(store.where("models/a.safetensors"), (0, 86400))
    assert last_written(store, "models") == {"models/a.safetensors": 86400}


def test_in_memory_it_is_known() -> None:
    is_now(Store("memory://ages"))


def test_in_a_bucket_it_is_the_servers_and_never_an_old_listing(s3_url: str) -> None:
    store = Store(s3_url)
    is_now(store)
    store.write("models/b.safetensors", b"3")
    assert "models/b.safetensors" in last_written(store, "models")
