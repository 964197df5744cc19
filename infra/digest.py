"""Digests: the names of everything we keep.

Two specifications are the same thing exactly if their canonical JSON is the same bytes. A schema version goes into every
digest, so that a change of meaning is a change of name and never a wrong hit.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

SCHEMA = 1


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; reading it and writing it again gives the same bytes.

    Raises:
        ValueError: if a number is not finite, or a text is not Unicode: such a value has no JSON and must not be stored.
        TypeError: if something has no JSON form, or a key is not text: {1: …} and {"1": …} would get the same name.
    """
    _refuse_other_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(kind: str, value: Any) -> str:
    """sha256, in hexadecimal, of a specification of some kind ("model", "samples", …)."""
    return sha256(canonical_json({"schema": SCHEMA, "kind": kind, "spec": value}))


def sha256(data: bytes) -> str:
    """sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal, with little of it in memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_large_file(path: Path) -> str:
    """The same for files that are asked about again and again, such as weights of some GB: kept in this process as long as
    the file's size and time stay."""
    path = path.resolve()
    stat = path.stat()
    return _sha256_at(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256_at(path: Path, size: int, modified: int) -> str:
    return sha256_of_file(path)


def _refuse_other_keys(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is {type(key).__name__}, not text")
            _refuse_other_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_other_keys(item)
