"""A data folder of a dozen drawings by three people, and the models made of it in a few steps."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tasks.toy import Steps, make

PLAYER, OTHERS = "Polly Player", ("Olga Other", "Otto Other")
FEW = Steps(autoencoder=3, text_to_image=3)


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawings, four by each; Olga's last equals Polly's first."""
    folder = tmp_path_factory.mktemp("drawings") / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    rows = []
    for number in range(12):
        owner = (PLAYER, *OTHERS)[number // 4]
        pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        if number == 0:
            first = pixels
        PIL.Image.fromarray(first if number == 7 else pixels).save(folder / f"{number}.png")
        rows.append([f"images/{number}.png", owner, f"an emoji of {owner.split()[0]}: number {number % 4}"])
    with (folder.parent / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file_name", "contributor", "prompt"], *rows])
    return folder.parent


@pytest.fixture(scope="session")
def models(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "toy"
    make(drawings, out, without=[PLAYER], steps=FEW, resolution=16, say=silent)
    return out
