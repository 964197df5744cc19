"""LDM: an unconditional U-Net on the latents of a frozen autoencoder (Rombach et al. 2022), the paper's case of diversity.

The autoencoder is the study's model.autoencoder, or comes with a given `LDMPipeline`. It is a base: stored once, never
trained, pruned or counted. Images are encoded once and kept by content (tasks.families.stored).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from diffusers import DDPMScheduler, LDMPipeline, UNet2DModel

from tasks.families.autoencoder import Autoencoder, LatentModel
from tasks.families.types import Base, FamilyError, Files, Maker, base_digest
from tasks.families.unet import UNetFamily, network_of, schedule_of, schedule_recipe
from tasks.model.model import Model
from tasks.model.network_config import checked_schedule
from tasks.model.parts import PipelineError, digests_of_folder
from tasks.model.pipeline import load_unet, pipeline_folder, plain_config
from tasks.model.prune import architecture, fill, skeleton
from tasks.model.unet import build_unet
from tasks.study import Study

_PART = "vqvae"  # as LDMPipeline calls its autoencoder, whatever its kind


class LDM(UNetFamily):
    """`UNet2DModel` on latents of a `VQModel` or `AutoencoderKL`; its reference is an `LDMPipeline`."""

    name: ClassVar[str] = "ldm"

    def check(self, study: Study) -> None:
        spec = self.spec
        if spec.pretrained is None and spec.autoencoder is None:
            raise FamilyError(
                "model.family 'ldm' needs an autoencoder: set model.autoencoder to a diffusers VQModel or AutoencoderKL, or "
                "model.pretrained to an LDMPipeline"
            )
        if spec.pretrained is not None and spec.autoencoder is not None:
            raise FamilyError("model.autoencoder: the pipeline of model.pretrained brings its own; leave it empty")
        autoencoder = self._autoencoder()
        if spec.resolution % autoencoder.factor:
            raise FamilyError(
                f"model.resolution {spec.resolution} is not divisible by {autoencoder.factor}, the autoencoder's factor"
            )
        side = spec.resolution // autoencoder.factor
        if spec.pretrained is None and side % 2 ** (len(spec.channels) - 1):
            raise FamilyError(
                f"latents of {side} x {side} cannot be halved {len(spec.channels) - 1} times; use fewer levels in "
                "model.channels or another model.resolution"
            )

    def base(self) -> Base | None:
        folder = self._folder()
        return Base(folder, digests_of_folder(folder))

    def given(self) -> Files | None:
        if self.spec.pretrained is not None:
            folder = pipeline_folder(self.spec.pretrained, LDMPipeline)
            return digests_of_folder(folder, {"unet": True, _PART: True, "scheduler": False})
        return digests_of_folder(self._folder())

    def start(self, given: Files | None) -> dict[str, Any]:
        given = dict(given or {})
        if self.spec.pretrained is not None:
            part = f"{_PART}/"
            base = {name.removeprefix(part): digest for name, digest in given.items() if name.startswith(part)}
            return {"family": self.name, "pretrained": given, "base": base}
        return {
            "family": self.name,
            "base": given,
            "network": self.network(),
            **schedule_recipe(self.spec),
        }

    def network(self) -> dict[str, Any]:
        autoencoder = self._autoencoder()
        return network_of(self.spec, self.spec.resolution // autoencoder.factor, autoencoder.channels)

    def build(self) -> Model:
        autoencoder = self._autoencoder()
        if self.spec.pretrained is not None:
            return LatentModel(*self._given_unet(autoencoder), autoencoder)
        schedule = schedule_of(self.spec, clip=False)
        return LatentModel(build_unet(self.network(), self.spec.seed), schedule, autoencoder)

    def save(self, model: Model, folder: Path) -> None:
        assert isinstance(model, LatentModel)
        parts: tuple[Any, ...] = (model.network, model.autoencoder.network)
        for part in parts:
            part.register_to_config(_name_or_path="")  # where it was read from is this machine's business
            part.cpu()
        pipeline = LDMPipeline(vqvae=model.autoencoder.network, unet=model.network, scheduler=model.schedule)
        pipeline.save_pretrained(folder, safe_serialization=True)

    def load(self, folder: Path, base: Path | None) -> Model:
        if base is None:
            raise ValueError("the record of this reference names no autoencoder")
        autoencoder = Autoencoder.load(base, base_digest(digests_of_folder(base)))
        return LatentModel(*load_unet(folder, str(folder), latents=True), autoencoder)

    def describe(self, model: Model) -> dict[str, Any]:
        base = self.base()
        assert base is not None
        return {
            "architecture": architecture(model.network),
            "schedule": plain_config(model.schedule),
            "base": dict(base.files),
        }

    def maker(self, description: Mapping[str, Any], base: Path | None) -> Maker:
        if base is None or set(description) != {"architecture", "schedule", "base"}:
            raise ValueError("this is not the description of a pruned network on latents")
        bones, schedule = skeleton(description["architecture"]), checked_schedule(description["schedule"], latents=True)
        autoencoder = Autoencoder.load(base, base_digest(digests_of_folder(base)))
        return lambda: LatentModel(fill(bones), schedule, autoencoder)

    def to_base(self, model: Model) -> None:
        model.network.load_state_dict(self._given_unet(self._autoencoder())[0].state_dict())  # ratio 0: the same shapes

    def _given_unet(self, autoencoder: Autoencoder) -> tuple[UNet2DModel, DDPMScheduler]:
        name = f"model.pretrained '{self.spec.pretrained}'"
        unet, schedule = load_unet(pipeline_folder(str(self.spec.pretrained), LDMPipeline), name, latents=True)
        has = unet.config["in_channels"], unet.config["sample_size"]
        if has != (wanted := (autoencoder.channels, self.spec.resolution // autoencoder.factor)):
            raise PipelineError(
                f"{name} works on latents of {has[0]} channels and side {has[1]}; the study's model.resolution and its "
                f"autoencoder make {wanted[0]} and {wanted[1]}"
            )
        return unet, schedule

    def _folder(self) -> Path:
        if self.spec.pretrained is not None:
            return pipeline_folder(self.spec.pretrained, LDMPipeline) / _PART
        return autoencoder_folder(str(self.spec.autoencoder))

    def _autoencoder(self) -> Autoencoder:
        folder = self._folder()
        return _load_once(folder, base_digest(digests_of_folder(folder)))


@functools.lru_cache(maxsize=1)  # its shape is asked for wherever a recipe is made
def _load_once(folder: Path, digest: str) -> Autoencoder:
    return Autoencoder.load(folder, digest)


def autoencoder_folder(name_or_path: str) -> Path:
    """A folder with an autoencoder, or the hub's brought into its cache. Raises PipelineError if it is neither."""
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name_or_path, allow_patterns=["config.json", "*.safetensors"]))
    except (OSError, ValueError, HFValidationError) as error:
        raise PipelineError(
            f"model.autoencoder '{name_or_path}' is neither a folder nor on the hub: {error}"
        ) from error
