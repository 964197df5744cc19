"""Real image files in small folders; every picture has a colour pattern of its own unless a test wants equals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tasks.partition import Partition, Problem, partition
from tasks.study import DataSpec

SIDE = 12


def picture(number: int, mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE)) -> PIL.Image.Image:
    """A picture that is different for every number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels).convert(mode)


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class DataFolder:
    """A data folder under construction, with two healthy contributors, so that one bad file never empties it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.rows: list[dict[str, str]] = []
        for number in range(12):
            self.add(f"good{number:02}.png", "alice" if number % 2 else "bob", number)

    def add(self, name: str, owner: str | None, content: int | bytes | PIL.Image.Image | None, date: str = "") -> None:
        """Write a file (a number makes a picture of its own, None no file) and its row (none if `owner` is None)."""
        if isinstance(content, int):
            content = picture(content)
        if isinstance(content, PIL.Image.Image):
            content = encoded(content)
        if content is not None:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        if owner is not None:
            self.rows.append({"file_name": name, "contributor": owner, "date": date})

    def write_metadata(self) -> None:
        with (self.path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["file_name", "contributor", "date"])
            writer.writeheader()
            writer.writerows(self.rows)

    def spec(self, **options: Any) -> DataSpec:
        # `keep` and no minimum: most tests are about files, not about how many there are.
        chosen: Mapping[str, Any] = {"url": str(self.path), "minimum_images": 1, "small_contributors": "keep"} | options
        return DataSpec(**chosen)

    def partition(self, resolution: int = 8, **options: Any) -> Partition:
        self.write_metadata()
        return partition(self.spec(**options), resolution)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def problems_of(parts: Partition, kind: str) -> list[Problem]:
    return [problem for problem in parts.problems if problem.kind == kind]


def only_problem(parts: Partition) -> Problem:
    """The partition's single problem."""
    assert len(parts.problems) == 1, parts.problems
    return parts.problems[0]


def names_in(parts: Partition) -> set[str]:
    return {image.file_name for image in parts.images}
