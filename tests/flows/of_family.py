"""Small studies of the families that stand on a base, and of a fourth one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.study import Study
from tests.small import DESIGNERS, small_study

WHO = DESIGNERS[:3]
EVALUATIONS = 8 + 2  # all coalitions, and two repeated under another seed
FAMILIES = ["ldm", "sd-lora"]


def study_of(family: str, data: Path, bases: Path, name: str = "small", **sections: dict[str, Any]) -> Study:
    of_family: dict[str, dict[str, Any]] = {
        "ldm": {"family": "ldm", "autoencoder": str(bases / "kl"), "noise_steps": 100, "resolution": 16},
        "sd-lora": {"family": "sd-lora", "pretrained": str(bases / "sd"), "resolution": 16, "lora_rank": 4},
        "fourth": {"family": "tests.families.fourth:Fourth"},
    }
    model = of_family[family]
    form: dict[str, Any] = {
        "data": {"only": list(WHO)},
        "model": {**model, "train_steps": 6},
        "sampling": {"images": 12, "prompts": ["a flag", "a face"] if family == "sd-lora" else []},
        "coalition": {"learning_rate": 1e-2},
    }
    for section, fields in sections.items():
        form[section] = {**form.get(section, {}), **fields}
    return small_study(data, name, **form)
