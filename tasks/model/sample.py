"""Drawing images from a model with a few-step sampler, each image from its own numbered noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from tasks.model.gradient import in_precision
from tasks.model.model import Model, Sampler
from tasks.model.randomness import sampling_noise
from tasks.model.train import Diverged


@torch.inference_mode()
def sample(
    model: Model,
    *,
    sampler: Sampler,
    steps: int,
    images: int,
    batch_size: int,
    seed: int,
    prompts: Sequence[str] = (),
    guidance: float = 1.0,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Draw `images` images.

    Args:
        prompts: image number i is drawn for prompt i modulo their number; none for a model that takes none.
        guidance: scale of classifier-free guidance, 1 for none.
        precision: of the network's forward passes, "fp32", "bf16" or "fp16".

    Returns:
        uint8[images, r, r, 3].

    Raises:
        Diverged: if an image holds a number that is not finite.
        ValueError: if the model has fewer noise levels than the sampler is to take steps.
    """
    if steps > model.noise_steps:
        raise ValueError(f"sampling.steps is {steps}, but the model has only {model.noise_steps} noise steps")
    model.to(device).network.eval()
    drawn: list[torch.Tensor] = []
    for first in range(0, images, batch_size):
        count = min(batch_size, images - first)
        noise = sampling_noise(seed, first, count, model.shape).to(device)
        condition = None
        if prompts:
            wanted = [prompts[number % len(prompts)] for number in range(first, first + count)]
            condition = model.embed(([""] * count if guidance != 1.0 else []) + wanted)
            condition = None if condition is None else condition.to(device)
        with in_precision(precision, noise.device):
            x = model.draw(noise, sampler, steps, condition, guidance).float()
        if not torch.isfinite(x).all():
            raise Diverged(f"image {first} or one of the next {count} holds numbers that are not finite")
        drawn.append(model.decode(x))
        if progress is not None:
            progress(first + count, images)
    return torch.cat(drawn).numpy()
