"""A pickle that shows whether anybody opened it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.marker,))


def plant(folder: Path, name: str, marker: Path) -> None:
    (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
