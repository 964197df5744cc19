"""When objects of a store were last written, by the clock of whoever keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import fsspec

from infra.store import Store


def last_written(store: Store, prefix: str) -> dict[str, float]:
    """Key -> seconds since 1970 (UTC) of all objects below the folder `prefix`; what has no time is left out."""
    local = "://" not in store.url
    fs, root = fsspec.core.url_to_fs(store.url, **({} if local else {"use_listings_cache": False}))
    start = f"{str(root).rstrip('/')}/"
    try:
        found: dict[str, Mapping[str, Any]] = fs.find(f"{start}{prefix}", detail=True)
    except FileNotFoundError:
        return {}
    times = {path.removeprefix(start): _time(info) for path, info in found.items()}
    return {key: time for key, time in times.items() if time is not None}


def _time(info: Mapping[str, Any]) -> float | None:
    for name in ("mtime", "LastModified", "last_modified", "created"):  # a folder's, S3's, other buckets', memory's
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None
