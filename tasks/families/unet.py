"""What the families that train a U-Net from nothing make of the study's form: its network and its noise schedule."""

from __future__ import annotations

from typing import Any

from diffusers import DDPMScheduler

from tasks.model.unet import noise_schedule, unet_config
from tasks.study import ModelSpec

_OWN_BETAS = "squaredcos_cap_v2"  # a schedule that first and last betas do not enter


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
