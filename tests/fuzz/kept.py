"""Inputs as they are kept in files: JSON, so that a finding that somebody sent can be opened. What is no JSON has a mark."""

from __future__ import annotations

import base64
import json
from typing import Any


def packed(example: Any) -> bytes:
    """An input of tuples, lists, dicts with text keys, texts, bytes, numbers and None."""
    return json.dumps(_marked(example)).encode()


def unpacked(data: bytes) -> Any:
    """The same input again. Raises ValueError for what `packed` never wrote."""
    return _plain(json.loads(data))


def _marked(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"tuple": [_marked(each) for each in value]}
    if isinstance(value, list):
        return [_marked(each) for each in value]
    if isinstance(value, dict):
        return {"dict": [[str(key), _marked(each)] for key, each in value.items()]}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"an input of {type(value).__name__} cannot be kept")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"bytes": str(text)}:
            return base64.b64decode(text, validate=True)
        case {"tuple": list(parts)}:
            return tuple(_plain(each) for each in parts)
        case {"dict": list(pairs)}:
            return {str(key): _plain(each) for key, each in pairs}
    raise ValueError("this is no kept input")
