"""A fourth family, in as few lines as it takes: one convolution on pixels, pruned by setting small weights to zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tasks.families import Family
from tasks.model.model import Model
from tasks.model.unet import noise_schedule, reset_weights


class Small(Model):
    """Predicts the noise by a convolution, without asking for the time."""

    def __init__(self, side: int) -> None:
        super().__init__(nn.Conv2d(3, 3, 3, padding=1), noise_schedule(100, "linear"))
        self.side = side

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.side, self.side

    def predict(self, noisy, timesteps, condition=None):
        return self.network(noisy)


class Fourth(Family):
    name, weights_file = "fourth", "weights.safetensors"

    def given(self) -> None:
        return None

    def start(self, given) -> dict[str, Any]:
        return {"family": self.name}

    def build(self) -> Model:
        model = Small(self.spec.resolution)
        reset_weights(model.network, self.spec.seed)
        return model

    def save(self, model: Model, folder: Path) -> None:
        save_file(model.weights(), folder / self.weights_file)

    def load(self, folder: Path, base) -> Model:
        model = self.build()
        model.load_weights(load_file(folder / self.weights_file))
        return model

    def prune(self, model: Model, pruning, loss) -> None:
        with torch.no_grad():
            for p in model.network.parameters():
                p[p.abs() < p.abs().quantile(pruning.ratio)] = 0

    def describe(self, model: Model) -> dict[str, Any]:
        return {}

    def maker(self, description, base):
        return self.build

    def count(self, model: Model) -> tuple[int, int]:
        return 81 * self.spec.resolution**2, 84
