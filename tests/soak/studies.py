"""What is run while faults come: two studies of generated images that always have something left to evaluate.

`soak-plain` has four contributors in a folder, who never change; each generation has another seed of fine-tuning, so that
all its coalitions are new, and every third one another reference model. `soak-joining` lives on uploads: contributors join,
hand in more images, opt out and return. What comes in which generation follows from its number alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.study import Study

PLAIN, JOINING, COLLECTION = "soak-plain", "soak-joining", "soak"
STUDIES = (PLAIN, JOINING)
UNCHANGING = ("Hal", "Ida", "Jan", "Kim")  # of soak-plain
FOUNDERS = ("Ada", "Ben", "Cléo", "Dov")  # of soak-joining
JOINERS = ("Eun", "Fay", "Gus")
LEAVER = "Ben"  # opts out now and then, and returns
IMAGES, SIDE = 16, 12


@dataclass(frozen=True)
class Generation:
    """One thing to be brought to a statement. hand_in: (contributor, how many-th upload of theirs), before it begins."""

    number: int
    study: Study
    deployment: str
    hand_in: tuple[tuple[str, int], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Of its flow run."""
        return {"study": self.study.model_dump(mode="json")}


def write_images(folder: Path, contributor: str, batch: int = 0, count: int = IMAGES) -> list[Path]:
    """Images of one contributor: stripes of their own colour and direction, with noise; the same at every call."""
    number = (*UNCHANGING, *FOUNDERS, *JOINERS).index(contributor)
    generator = np.random.default_rng([number, batch])
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    for image in range(count):
        wave = np.sin((across * np.cos(number) + down * np.sin(number)) * generator.uniform(0.5, 1.5))
        colour = generator.uniform(60, 255, 3) * (np.arange(3) != number % 3)
        pixels = 128 + 0.4 * wave[..., None] * colour + generator.normal(0, 12, (SIDE, SIDE, 3))
        paths.append(folder / f"{batch}-{image:02d}.png")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return paths


def write_plain_data(folder: Path) -> None:
    """The images of `soak-plain`, in the layout of Hugging Face's imagefolder."""
    with_names = [
        (path.relative_to(folder), name)
        for number, name in enumerate(UNCHANGING)
        for path in write_images(folder / str(number), name)
    ]
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "contributor"])
        writer.writerows(with_names)


def plain(number: int, folder: Path) -> Generation:
    """That generation of `soak-plain`."""
    study = _study(PLAIN, str(folder), seed=10 + number, train_steps=100 + 10 * (number // 3), budget=16)
    return Generation(number, study, "attribute/openmoji")


def joining(number: int) -> Generation:
    """That generation of `soak-joining`: the founders; then in turn somebody new, more images, another seed."""
    seed = 10_000 + number // 3
    study = _study(JOINING, f"uploads:{COLLECTION}", seed=seed, train_steps=90, budget=14)
    round_, what = divmod(number - 1, 3)
    if number == 0:
        return Generation(0, study, "attribute/openmoji", tuple((name, 0) for name in FOUNDERS))
    if what == 0 and round_ < len(JOINERS):
        return Generation(number, study, "reattribute/openmoji", ((JOINERS[round_], 0),))
    if what == 1:
        return Generation(number, study, "reattribute/openmoji", ((FOUNDERS[round_ % 4], 1 + round_ // 4),))
    return Generation(number, study, "attribute/openmoji")


def _study(name: str, url: str, *, seed: int, train_steps: int, budget: int) -> Study:
    return Study.model_validate(
        {
            "name": name,
            "data": {"url": url, "minimum_images": 5},
            "model": {
                "resolution": 8,
                "channels": [8, 16],
                "norm_groups": 4,
                "train_steps": train_steps,
                "batch_size": 16,
            },
            "pruning": {"ratio": 0.5, "recovery_steps": 20},
            # Long enough to be killed in: about a second on one core.
            "coalition": {"steps": 60, "batch_size": 16, "seed": seed, "audit_coalitions": 2, "audit_seeds": [1]},
            "sampling": {"steps": 2, "images": 24},
            "properties": {"names": ["heldout_loss", "colourfulness"], "heldout_timesteps": 3},
            "estimation": {"budget": budget},
            "execution": {"mode": "work_pool", "device": "cpu", "retries": 5},
        }
    )
