"""Drawing images from a model with a few-step sampler, each image from its own numbered noise.

An image's noise is its own, so a batch that is too much for the card's memory is drawn in smaller ones: that costs time and,
up to rounding, no other image.
"""

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
        torch.OutOfMemoryError: if not even one image at a time fits.
    """
    if steps > model.noise_steps:
        raise ValueError(f"sampling.steps is {steps}, but the model has only {model.noise_steps} noise steps")
    model.to(device).network.eval()

    def draw(first: int, count: int) -> torch.Tensor:
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
        return model.decode(x)

    drawn: list[torch.Tensor] = []
    first, at_once = 0, min(batch_size, images)
    while first < images:
        count = min(at_once, images - first)
        try:
            drawn.append(draw(first, count))
        except torch.OutOfMemoryError as error:
            if count == 1:
                raise torch.OutOfMemoryError(
                    f"not even one image at a time (sampling.batch_size is {batch_size}) can be drawn in this device's "
                    f"memory; use a larger card, or execution.device 'cpu' ({error})"
                ) from error
            at_once = (count + 1) // 2
        else:
            first += count
            if progress is not None:
                progress(first, images)
            continue
        # Out of the handler, where the traceback no longer holds what the failed batch had taken.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return torch.cat(drawn).numpy()
