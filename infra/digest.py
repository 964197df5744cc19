"""Digests: the names of everything we keep.

Two specifications are the same thing exactly if their canonical JSON is the same bytes. A schema version goes into every
digest, so that a change of meaning is a change of name and never a wrong hit.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SCHEMA = 1


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces.

    Raises:
        ValueError: if a number is not finite: such a value has no JSON and must not be stored.
        TypeError: if something has no JSON form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(kind: str, value: Any) -> str:
    """sha256, in hexadecimal, of a specification of some kind ("model", "samples", …)."""
    return sha256(canonical_json({"schema": SCHEMA, "kind": kind, "spec": value}))


def sha256(data: bytes) -> str:
    """sha256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
