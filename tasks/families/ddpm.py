"""DDPM: an unconditional U-Net on pixels (Ho et al. 2020), the paper's case of image quality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.families.types import Files, Maker
from tasks.families.unet import UNetFamily, network_of, schedule_of, schedule_recipe
from tasks.model.model import Model
from tasks.model.network_config import checked_schedule
from tasks.model.pipeline import load_pipeline, pipeline_digests, plain_config, save_pipeline
from tasks.model.prune import architecture, fill, skeleton
from tasks.model.unet import build_unet


class DDPM(UNetFamily):
    """`UNet2DModel` with a DDPM noise schedule; its reference is a `DDPMPipeline`."""

    name: ClassVar[str] = "ddpm"

    def given(self) -> Files | None:
        return None if self.spec.pretrained is None else pipeline_digests(self.spec.pretrained)

    def start(self, given: Files | None) -> dict[str, Any]:
        if given is not None:
            return {"pretrained": dict(given)}
        return {"network": self.network(), **schedule_recipe(self.spec)}

    def network(self) -> dict[str, Any]:
        return network_of(self.spec, self.spec.resolution)

    def build(self) -> Model:
        if self.spec.pretrained is not None:
            return Model(*load_pipeline(self.spec.pretrained, self.spec.resolution))
        return Model(build_unet(self.network(), self.spec.seed), schedule_of(self.spec, clip=True))

    def save(self, model: Model, folder: Path) -> None:
        save_pipeline(model.network, model.schedule, folder)

    def load(self, folder: Path, base: Path | None) -> Model:
        return Model(*load_pipeline(str(folder), self.spec.resolution))

    def describe(self, model: Model) -> dict[str, Any]:
        return {"architecture": architecture(model.network), "schedule": plain_config(model.schedule)}

    def maker(self, description: Mapping[str, Any], base: Path | None) -> Maker:
        if set(description) != {"architecture", "schedule"}:
            raise ValueError("this is not the description of a pruned network on pixels")
        # Checking takes as long as a training step or two: once is enough.
        bones = skeleton(description["architecture"])
        schedule = checked_schedule(description["schedule"])
        return lambda: Model(fill(bones), schedule)

    def to_base(self, model: Model) -> None:
        base, _ = load_pipeline(str(self.spec.pretrained), self.spec.resolution)
        model.network.load_state_dict(base.state_dict())  # ratio 0: the shapes are the base's own
