"""The smallest real thing: four designers of OpenMoji, 8 x 8 pixels, a network of a few thousand weights, all 16 coalitions.

Everything is what users have (real images, real files, real training), only tiny, so that whole runs take seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.partition.openmoji import convert
from tasks.study import Study

DESIGNERS = ("Crystal Moon", "Emily Jäger", "Ferdinand Sorg", "Sofie Ascherl")
EVALUATIONS = 16 + 2  # all coalitions, and two repeated under another seed


def make_data(folder: Path) -> Path:
    """The four designers' glyphs as a data folder."""
    convert(folder, contributors=DESIGNERS, size=32)
    return folder


def small_study(folder: Path, name: str = "small", **sections: dict[str, Any]) -> Study:
    """A study on `make_data`; sections given by name are laid over the small defaults."""
    fields: dict[str, Any] = {
        "data": {"url": str(folder)},
        "model": {
            "resolution": 8, "channels": [8, 16], "norm_groups": 4, "train_steps": 15, "batch_size": 16,
        },
        "pruning": {"ratio": 0.5, "recovery_steps": 5},
        "coalition": {"steps": 3, "batch_size": 16, "audit_coalitions": 2, "audit_seeds": [1], "retrain_steps": 4},
        "sampling": {"steps": 2, "images": 24},
        "properties": {"names": ["heldout_loss", "colourfulness"], "heldout_timesteps": 3},
        "estimation": {"budget": 16},
        "execution": {"mode": "inline"},
    }  # fmt: skip
    for section, changes in sections.items():
        fields[section] = {**fields.get(section, {}), **changes}
    return Study(name=name, **fields)
