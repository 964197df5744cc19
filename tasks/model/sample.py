"""Drawing images from a model with a few-step sampler, each image from its own numbered noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

from tasks.model.randomness import sampling_noise
from tasks.model.train import Diverged
from tasks.model.unet import to_pixels

Sampler = Literal["ddim", "dpmsolver++"]


def make_sampler(sampler: Sampler, schedule: DDPMScheduler) -> DDIMScheduler | DPMSolverMultistepScheduler:
    """A deterministic sampler over the model's own noise schedule: DDIM with eta 0 (Song et al. 2021) or
    DPM-Solver++ 2M (Lu et al. 2022)."""
    if sampler == "ddim":
        return DDIMScheduler.from_config(schedule.config)
    return DPMSolverMultistepScheduler.from_config(
        schedule.config, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
    )


@torch.inference_mode()
def sample(
    unet: UNet2DModel,
    schedule: DDPMScheduler,
    *,
    sampler: Sampler,
    steps: int,
    images: int,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Draw `images` images.

    Returns:
        uint8[images, r, r, 3].

    Raises:
        Diverged: if an image holds a number that is not finite.
        ValueError: if the model has fewer noise levels than the sampler is to take steps.
    """
    if steps > schedule.config["num_train_timesteps"]:
        raise ValueError(
            f"sampling.steps is {steps}, but the model has only {schedule.config['num_train_timesteps']} noise steps"
        )
    unet.to(device).eval()
    side = unet.config["sample_size"]
    drawn: list[torch.Tensor] = []
    for first in range(0, images, batch_size):
        count = min(batch_size, images - first)
        x = sampling_noise(seed, first, count, (3, side, side)).to(device)
        solver = make_sampler(sampler, schedule)  # a multistep solver remembers its last steps: one a batch
        solver.set_timesteps(steps)
        for t in solver.timesteps:
            predicted = unet(x, t).sample  # [b, 3, r, r]
            x = solver.step(predicted, t, x).prev_sample
        if not torch.isfinite(x).all():
            raise Diverged(f"image {first} or one of the next {count} holds numbers that are not finite")
        drawn.append(to_pixels(x).cpu())
        if progress is not None:
            progress(first + count, images)
    return torch.cat(drawn).numpy()
