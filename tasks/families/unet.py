"""What families of unconditional U-Nets have in common: network and noise schedule as the study's form says them, and how
channels are pruned and counted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from diffusers import DDPMScheduler, UNet2DModel

from tasks.families.types import Family
from tasks.model.model import Loss, Model
from tasks.model.prune import count_macs, prune
from tasks.model.unet import noise_schedule, unet_config
from tasks.study import ModelSpec, PruningSpec

_OWN_BETAS = "squaredcos_cap_v2"  # a schedule that first and last betas do not enter


class UNetFamily(Family):
    """A family whose network is a `UNet2DModel`."""

    weights_file: ClassVar[str] = "unet/diffusion_pytorch_model.safetensors"  # as diffusers names them

    @abstractmethod
    def network(self) -> dict[str, Any]:
        """Arguments of the network that is trained where none is given."""

    def parameters(self) -> int:
        if self.spec.pretrained is not None:
            return super().parameters()
        with torch.device("meta"):  # counted, not made
            return sum(parameter.numel() for parameter in UNet2DModel(**self.network()).parameters())

    def prune(self, model: Model, pruning: PruningSpec, loss: Loss) -> None:
        prune(model.network, pruning.ratio, pruning.importance, loss=lambda _: loss())

    def count(self, model: Model) -> tuple[int, int]:
        return count_macs(model.network)


def network_of(spec: ModelSpec, side: int, channels: int = 3) -> dict[str, Any]:
    """Arguments of `UNet2DModel` for images or latents [channels, side, side]."""
    return unet_config(
        side,
        spec.channels,
        spec.layers_per_block,
        spec.attention_levels,
        spec.norm_groups,
        channels,
        spec.attention_head_dim,
    )


def schedule_of(spec: ModelSpec, *, clip: bool) -> DDPMScheduler:
    """The noise schedule. clip: whether what is drawn has bounds, as pixels have."""
    if spec.beta_schedule == _OWN_BETAS:
        return noise_schedule(spec.noise_steps, spec.beta_schedule, clip)
    return noise_schedule(spec.noise_steps, spec.beta_schedule, clip, (spec.beta_start, spec.beta_end))


def schedule_recipe(spec: ModelSpec) -> dict[str, Any]:
    """The schedule as a part of a recipe: betas only where they decide something and are not as they always were."""
    recipe: dict[str, Any] = {"noise_steps": spec.noise_steps, "beta_schedule": spec.beta_schedule}
    if spec.beta_schedule != _OWN_BETAS:
        fields = type(spec).model_fields
        named = ("beta_start", "beta_end")
        recipe |= {name: getattr(spec, name) for name in named if getattr(spec, name) != fields[name].default}
    return recipe
