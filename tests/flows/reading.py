"""What tests look at in a store."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pandas as pd

from infra.store import Store


def latest(store: Store, study: str) -> str:
    """The folder of the newest statement."""
    run = json.loads(store.read(f"studies/{study}/latest.json"))["run"]
    return f"studies/{study}/{run}"


def table(store: Store, study: str, name: str) -> pd.DataFrame:
    """One of the newest statement's parquet files."""
    return pd.read_parquet(io.BytesIO(store.read(f"{latest(store, study)}/{name}")))


def manifest(store: Store, study: str) -> dict[str, Any]:
    """The newest statement's manifest."""
    content: dict[str, Any] = json.loads(store.read(f"{latest(store, study)}/manifest.json"))
    return content


def ledger(store: Store) -> dict[str, bytes]:
    """Every record of the ledger."""
    return {key: store.read(key) for key in store.list("ledger")}


def models(store: Store) -> int:
    """How many networks were ever trained (or drawn at random) for a coalition, the reference or the pruned model."""
    return len(store.list("ledger/models"))


def made(store: Store) -> dict[str, tuple[int, int]]:
    """Every network and data set in the store with its file's number and time. Records of the ledger are written once, and
    would look the same if all the work were done again; a network that is made again is written again."""
    keys = [key for prefix in ("reference", "pruned", "models") for key in store.list(prefix)]
    files = {key: os.stat(store.where(key)) for key in keys}
    return {key: (file.st_ino, file.st_mtime_ns) for key, file in files.items()}
