"""Projected gradients of a model at single images: what TRAK, D-TRAK and gradient similarity are made of.

    image ─▶ x₀ ──noise of its digest, at t fixed levels──▶ [t, C, h, w] ──output──▶ one number ──backward──▶ [p] ─▶ [k]

An output (tasks.validation.gradients.OUTPUTS) is averaged over an image's noisy versions before it is differentiated, so an
image costs one backward pass an output. Noise is a function of the image's digest and the level alone: a row depends neither
on the images beside it nor on their order, and no number drawn for one image is another's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from tasks.model.model import Condition, Model
from tasks.model.threads import one_thread
from tasks.progress import Say, Ticker, silent
from tasks.properties.heldout_loss import fixed_noise, stratified_timesteps
from tasks.validation.gradients import OUTPUTS
from tasks.validation.ownership import ImageRows
from tasks.validation.projection import Projection

Output = Literal["trak", "d_trak"]
# Of gradients that are projected together: a block of the projection costs as much for one as for all.
WAITING_BYTES = 2**29
SAY_EVERY = 15.0  # seconds


def image_gradients(
    model: Model,
    inputs: torch.Tensor,
    prompts: Sequence[str],
    digests: Sequence[str],
    *,
    outputs: Sequence[Output] = ("trak", "d_trak"),
    timesteps: int,
    dimension: int,
    seed: int,
    device: torch.device | str = "cpu",
    say: Say = silent,
    what: str = "gradients",
) -> dict[Output, ImageRows]:
    """One row an image and output: float32[m, dimension], in the order of `digests`; other outputs cost no other forward.

    The model is left on `device`, in evaluation mode, its weights and their `.grad` untouched.

    Args:
        inputs: of m images, as `tasks.families.stored.encoded` makes them.
        prompts: m, or none where the model takes none.
        digests: hexadecimal, of m images.
        timesteps: noise levels, the middles of equal strata.
        dimension: of the projection, a multiple of 64. seed: of the projection; rows of two calls can be compared where
            dimension, seed and weights are the same.
        what: is differentiated, for `say`.

    Raises:
        ValueError: if the arguments do not fit together, or a gradient is not finite (the image is named).
        torch.OutOfMemoryError: if not even one noisy image at a time fits.
    """
    _check(model, inputs, prompts, digests, outputs, timesteps)
    parameters = [parameter for parameter in model.to(device).trainable().values() if parameter.requires_grad]
    model.network.eval()
    projection = Projection(sum(parameter.numel() for parameter in parameters), dimension, seed)
    levels = torch.from_numpy(stratified_timesteps(model.noise_steps, timesteps))
    room = max(1, min(len(digests), WAITING_BYTES // (4 * projection.rows * len(outputs))))
    waiting = torch.empty(room, len(outputs), projection.rows, device=device)
    rows = np.empty((len(digests), len(outputs), dimension), dtype=np.float32)
    tick = Ticker(say, what, SAY_EVERY, end=False)
    backward = _Backward(model, parameters, outputs)
    # Two backward passes over one forward are more than a compiled network allows (execution.compile), hence as written.
    with one_thread(), torch.compiler.set_stance("force_eager"):
        for first in range(0, len(digests), room):
            last = min(first + room, len(digests))
            for image in range(first, last):
                with torch.no_grad():
                    clean = model.start(inputs[image : image + 1])  # [1, C, h, w]
                    told = model.embed([prompts[image]]) if prompts else None
                drawn = fixed_noise(
                    [_bytes_of(digests[image])] * timesteps, levels.tolist(), tuple(clean.shape[1:])
                )  # [t, C, h, w]
                backward(
                    clean.to(device),
                    torch.from_numpy(drawn).to(device),
                    levels.to(device),
                    None if told is None else told.to(device),
                    waiting[image - first],
                )
                if not torch.isfinite(waiting[image - first]).all():
                    raise ValueError(
                        f"{what}: that of image {digests[image]} is not finite; the model may have diverged"
                    )
                tick(image + 1, len(digests))
            projected = projection.apply(waiting[: last - first].flatten(0, 1))
            rows[first:last] = projected.reshape(last - first, len(outputs), dimension)
    return {output: ImageRows(tuple(digests), rows[:, i]) for i, output in enumerate(outputs)}


def pixel_digests(images: np.ndarray) -> tuple[str, ...]:
    """sha256 of each image's pixels, uint8 [n, r, r, 3]: names of generated images, which no table has named."""
    return tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in images)


class _Backward:
    """Gradients of one image's outputs. parts: in which its noisy versions are taken; grows when memory does not suffice."""

    def __init__(self, model: Model, parameters: list[torch.nn.Parameter], outputs: Sequence[Output]) -> None:
        self._model, self._parameters, self._outputs = model, parameters, outputs
        self.parts = 1

    def __call__(
        self, clean: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor, condition: Condition, into: torch.Tensor
    ) -> None:
        """clean: [1, C, h, w]; noise: [t, C, h, w]; levels: int64 [t]; condition: [1, tokens, width]; into: [outputs, p]."""
        while True:
            try:
                return self._add_up(clean, noise, levels, condition, into.zero_())
            except torch.OutOfMemoryError:
                if self.parts >= len(levels):
                    raise
            self.parts = min(2 * self.parts, len(levels))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _add_up(
        self, clean: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor, condition: Condition, into: torch.Tensor
    ) -> None:
        for drawn, t in zip(noise.tensor_split(self.parts), levels.tensor_split(self.parts), strict=True):
            noisy = self._model.schedule.add_noise(clean.expand_as(drawn), drawn, t)
            given = None if condition is None else condition.expand(len(t), *condition.shape[1:])
            predicted = self._model.predict(noisy, t, given).float()
            for row, output in enumerate(self._outputs):
                found = torch.autograd.grad(
                    OUTPUTS[output](predicted, drawn).sum() / len(levels),
                    self._parameters,
                    retain_graph=row + 1 < len(self._outputs),
                    allow_unused=True,
                    materialize_grads=True,
                )
                into[row] += torch.cat([gradient.flatten() for gradient in found])


def _bytes_of(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        raise ValueError(f"image digest {digest!r} is not hexadecimal; noise is drawn from it") from None


def _check(
    model: Model,
    inputs: torch.Tensor,
    prompts: Sequence[str],
    digests: Sequence[str],
    outputs: Sequence[Output],
    timesteps: int,
) -> None:
    if not len(inputs) == len(digests) > 0:
        raise ValueError(f"{len(inputs)} images and {len(digests)} digests of them; there must be as many, and some")
    if prompts and len(prompts) != len(digests):
        raise ValueError(f"{len(prompts)} prompts for {len(digests)} images")
    if not outputs or len(set(outputs)) < len(outputs) or any(output not in OUTPUTS for output in outputs):
        raise ValueError(f"outputs must be some of {', '.join(OUTPUTS)}, each once, not {list(outputs)}")
    if not 1 <= timesteps <= model.noise_steps:
        raise ValueError(f"timesteps is {timesteps}; the model has noise levels for 1 to {model.noise_steps}")
