"""The denoising U-Net: built from the study's numbers, reset to random weights; and the spaces of its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel

from tasks.model.randomness import mix


def unet_config(
    resolution: int,
    channels: list[int],
    layers_per_block: int,
    attention_levels: list[int],
    norm_groups: int,
    image_channels: int = 3,
    attention_head_dim: int | None = 8,
) -> dict[str, Any]:
    """Arguments of `UNet2DModel` for images, or latents, of side `resolution`; JSON-able. Where there is no attention the
    size of its heads is no part of it."""
    levels = len(channels)
    attention = [level in attention_levels for level in range(levels)]
    return {
        "sample_size": resolution,
        "in_channels": image_channels,
        "out_channels": image_channels,
        "layers_per_block": layers_per_block,
        "block_out_channels": list(channels),
        "down_block_types": ["AttnDownBlock2D" if a else "DownBlock2D" for a in attention],
        "up_block_types": ["AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)],
        "norm_num_groups": norm_groups,
        "attention_head_dim": attention_head_dim if any(attention) else 8,
        "add_attention": any(attention),
    }


def build_unet(config: Mapping[str, Any], seed: int) -> UNet2DModel:
    """A network with random weights that depend on `seed` alone, not on the global random state."""
    with torch.random.fork_rng(devices=[]):
        unet = UNet2DModel(**config)
    reset_weights(unet, seed)
    return unet


def reset_weights(module: torch.nn.Module, seed: int) -> None:
    """Draw every layer's weights anew by its own PyTorch initialisation; works on pruned shapes too.

    Raises:
        ValueError: if the module is not on the CPU, whose generator decides the numbers, or if a layer with weights has no
            initialisation of its own and would keep what it has learned.
    """
    if any(p.device.type != "cpu" for p in module.parameters()):
        raise ValueError("random weights are drawn on the CPU: move the network there first")
    for name, layer in module.named_modules():
        if next(layer.parameters(recurse=False), None) is not None and not hasattr(layer, "reset_parameters"):
            raise ValueError(f"layer '{name}' ({type(layer).__name__}) has no initialisation of its own")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 3))
        for layer in module.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()


def to_model_space(pixels: torch.Tensor) -> torch.Tensor:
    """uint8[n, r, r, 3] in 0..255 -> float32[n, 3, r, r] in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1.0


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """float32[n, 3, r, r] in [-1, 1] -> uint8[n, r, r, 3], clipped."""
    return ((images.clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def noise_schedule(
    noise_steps: int, beta_schedule: str, clip: bool = True, betas: tuple[float, float] = (1e-4, 0.02)
) -> DDPMScheduler:
    """The forward process; predicts noise. Samples of pixels are clipped, as in Ho et al. 2020; latents have no bounds.

    betas: variances of the noise at the first and the last step; squaredcos_cap_v2 has its own.
    """
    return DDPMScheduler(
        num_train_timesteps=noise_steps,
        beta_schedule=beta_schedule,
        beta_start=betas[0],
        beta_end=betas[1],
        clip_sample=clip,
    )
