"""Tiny networks and data for the tests of `tasks.model`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel

from tasks.model.train import TrainingData
from tasks.model.unet import build_unet, noise_schedule, unet_config
from tasks.recipe import Recipe, pruned_recipe, reference_recipe
from tasks.study import Study

SIDE = 8


def digests_of(count: int, salt: str = "") -> tuple[str, ...]:
    return tuple(hashlib.sha256(f"{salt}{i}".encode()).hexdigest() for i in range(count))


def tiny_data(count: int = 24, seed: int = 0) -> TrainingData:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    return TrainingData(torch.from_numpy(pixels), digests_of(count), np.ones(count))


def tiny_unet(seed: int = 0, attention: list[int] | None = None, layers: int = 1) -> UNet2DModel:
    return build_unet(unet_config(SIDE, [8, 16], layers, attention or [], 4), seed)


def tiny_schedule() -> DDPMScheduler:
    return noise_schedule(100, "squaredcos_cap_v2")


def tiny_study(**sections: dict) -> Study:
    """A study of an 8 x 8 model that trains for a few steps; `sections` changes single fields."""
    form: dict[str, dict] = {
        "model": {
            "resolution": SIDE,
            "channels": [8, 16],
            "norm_groups": 4,
            "noise_steps": 100,
            "train_steps": 6,
            "batch_size": 8,
        },
        "pruning": {"ratio": 0.5, "recovery_steps": 4},
        "coalition": {"steps": 4, "batch_size": 8},
        "sampling": {"steps": 4, "images": 6},
        "execution": {"device": "cpu", "mode": "inline"},
    }
    for name, fields in sections.items():
        form[name] = {**form.get(name, {}), **fields}
    return Study.model_validate(form)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def data_recipe_of(data: TrainingData) -> Recipe:
    train = [[digest, float(weight)] for digest, weight in zip(data.digests, data.weights, strict=True)]
    return Recipe("data", {"preprocessing": 1, "resolution": SIDE, "train": train, "heldout": []})


def reference_recipe_of(study: Study, given: Mapping[str, str] | None = None) -> Recipe:
    return reference_recipe(study.model, data_recipe_of(tiny_data()), given)


def pruned_recipe_of(study: Study, reference: Recipe) -> Recipe:
    return pruned_recipe(study.pruning, study.model, reference, data_recipe_of(tiny_data()))
