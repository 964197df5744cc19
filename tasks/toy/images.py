"""What the toy models learn from: the images and prompts of designers who are not players."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tasks.partition.images import Decoded, Refused, decode
from tasks.partition.names import clean, closest
from tasks.partition.openmoji import prompt_of
from tasks.partition.prompts import PromptError, normalise

_MEGAPIXELS = 50.0  # of one image, at most


class ToyError(RuntimeError):
    """The models cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Lessons:
    """n images with their prompts, in the order of their digests."""

    pixels: np.ndarray  # uint8[n, r, r, 3]
    prompts: tuple[str, ...]
    digests: tuple[str, ...]  # sha256 (hex) of the images as decoded; equal images of several designers stay
    twins: int  # images left out because a player owns an equal one

    @property
    def digest(self) -> str:
        """sha256 (hex) over all of it: which lessons a model had."""
        told = hashlib.sha256(np.ascontiguousarray(self.pixels).tobytes())
        told.update("\0".join([*self.digests, *self.prompts]).encode())
        return told.hexdigest()


def read_lessons(folder: Path, without: Sequence[str], resolution: int) -> Lessons:
    """The images of everybody in `folder` but the designers `without`.

    An image that equals one of theirs pixel by pixel is left out as well: it is theirs, whoever else drew it.

    Raises:
        ToyError: if the folder has no usable metadata.csv or images, or a name of `without` is not in it.
    """
    rows = _rows(folder / "metadata.csv")
    players = {clean(name) for name in without}
    known = {clean(row["contributor"]) for row in rows}
    if unknown := sorted(players - known):
        hints = "; ".join(f"{name!r} (closest: {', '.join(closest(name, known)) or 'none'})" for name in unknown)
        raise ToyError(f"--without: no such contributor in {folder}: {hints}")
    found, theirs = [], set()
    for row in rows:
        image = _decode(folder, row["file_name"], resolution)
        if clean(row["contributor"]) in players:
            theirs.add(image.digest)
        else:
            found.append((image.digest, _prompt(row), image.pixels))
    kept = sorted((lesson for lesson in found if lesson[0] not in theirs), key=lambda lesson: lesson[:2])
    if not kept:
        raise ToyError(f"{folder} has no image of anybody but {', '.join(sorted(players))}: nothing to learn from")
    digests, prompts, pixels = zip(*kept, strict=True)
    return Lessons(np.stack(pixels), prompts, digests, len(found) - len(kept))


def to_model_space(pixels: np.ndarray) -> torch.Tensor:
    """uint8[n, r, r, 3] as float32[n, 3, r, r] in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        advice = "make it with: python -m tasks.partition.openmoji --out data/openmoji"
        raise ToyError(f"{table} cannot be read ({error}); {advice}") from None
    columns = set(rows[0]) if rows else set()
    told = "prompt" in columns or {"group", "subgroup"} <= columns
    if not ({"file_name", "contributor"} <= columns and told):
        wanted = "file_name, contributor, and prompt or group and subgroup"
        raise ToyError(
            f"{table} needs rows with the columns {wanted}; it has {', '.join(sorted(columns)) or 'no rows'}"
        )
    if short := [row["file_name"] for row in rows if None in row.values()]:
        raise ToyError(f"{table}: the row of {short[0]!r} has too few cells")
    return rows


def _decode(folder: Path, name: str, resolution: int) -> Decoded:
    try:
        return decode((folder / name).read_bytes(), name, resolution=resolution, maximum_megapixels=_MEGAPIXELS)
    except (OSError, Refused) as error:
        raise ToyError(f"{folder / name} cannot be read ({error}); make {folder} anew") from None


def _prompt(row: dict[str, str]) -> str:
    """As a study reads it: whoever fine-tunes the model gives it the very same text."""
    try:
        return normalise(row["prompt"] if "prompt" in row else prompt_of(row))
    except PromptError as error:
        raise ToyError(f"the prompt of {row['file_name']!r} {error}") from None
