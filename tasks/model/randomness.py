"""Common random numbers by content: what makes two coalitions comparable.

v(S) and v(S ∪ {i}) differ by what contributor i's images do and by chance. The chance is shared as far as possible: which
images enter a batch depends on each image's own digest, never on its position in a list, and noise and timesteps depend on
the step and the slot in the batch. So S and S ∪ {i} see mostly the same batches, and somebody who joins later changes no
number of a coalition that does not contain them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def image_keys(digests: Sequence[str]) -> np.ndarray:
    """The first 64 bits of each hexadecimal digest. Returns uint64[n]."""
    return np.array([int(d[:16], 16) for d in digests], dtype=np.uint64)


def mix(*parts: int) -> int:
    """One 63-bit seed from several integers; the same on every machine and in every version of numpy and torch."""
    state = 0
    for part in parts:
        state = int(_splitmix(np.array([(state ^ (part & _MASK)) & _MASK], dtype=np.uint64))[0])
    return state >> 1


def uniforms(seed: int, step: int, keys: np.ndarray, slot: int = 0) -> np.ndarray:
    """u(seed, step, image): float64[n] in (0, 1], independent between images, steps and seeds."""
    return _uniforms(keys, np.uint64(mix(seed, step, slot)))


def _uniforms(keys: np.ndarray, offset: np.ndarray | np.uint64) -> np.ndarray:
    bits = _splitmix(keys ^ offset) >> np.uint64(11)  # 53 bits, the mantissa of a double
    return (bits.astype(np.float64) + 0.5) / 2.0**53


def choose_batch(seed: int, step: int, keys: np.ndarray, weights: np.ndarray, batch_size: int) -> np.ndarray:
    """The images of one batch of one coalition.

    Weighted sampling without replacement by the largest u^(1/w) (Efraimidis & Spirakis 2006, algorithm A); with
    replacement, slot by slot, when fewer than `batch_size` images have positive weight.

    Args:
        keys: uint64[n], one per distinct image (`image_keys`).
        weights: float64[n], the sum of the present owners' shares; 0 for images of absent owners.

    Returns:
        int64[batch_size], positions in `keys`, in slot order.

    Raises:
        ValueError: if no image has positive weight.
    """
    members = np.flatnonzero(weights > 0)
    if members.size == 0:
        raise ValueError("a batch needs at least one image with positive weight: the coalition owns no training image")
    if members.size >= batch_size:
        # log u / w orders as u^(1/w) does, without underflow for tiny weights.
        order = np.log(uniforms(seed, step, keys[members])) / weights[members]
        chosen = np.argpartition(-order, batch_size - 1)[:batch_size]
        return members[chosen[np.argsort(-order[chosen], kind="stable")]]
    offsets = np.array([mix(seed, step, slot) for slot in range(1, batch_size + 1)], dtype=np.uint64)
    order = np.log(_uniforms(keys[members], offsets[:, None])) / weights[members]  # [batch_size, members < batch_size]
    return members[order.argmax(axis=1)]


def noise_and_timesteps(
    seed: int, step: int, shape: tuple[int, ...], noise_steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise and timesteps of one batch, by slot. Drawn on the CPU, so that every device sees the same numbers.

    Timesteps are stratified: slot j's lies in one of B equal parts of 0..T-1, in random order. Each slot's timestep is
    still uniform, but a batch covers all noise levels, which lowers the variance of the gradient.

    Args:
        shape: (B, C, H, W).

    Returns:
        noise float32[B, C, H, W], timesteps int64[B] in 0..noise_steps-1.
    """
    generator = torch.Generator().manual_seed(mix(seed, step, 1))
    noise = torch.randn(shape, generator=generator)
    strata = torch.randperm(shape[0], generator=generator)
    position = (strata + torch.rand(shape[0], generator=generator)) / shape[0]
    return noise, (position * noise_steps).long().clamp_(max=noise_steps - 1)


def sampling_noise(seed: int, first: int, count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Starting noise of the generated images `first` .. `first + count - 1`: float32[count, C, H, W], one seed an image,
    so that neither the number of images nor the batch size changes an image's noise."""
    images = [
        torch.randn(shape, generator=torch.Generator().manual_seed(mix(seed, index, 2)))
        for index in range(first, first + count)
    ]
    return torch.stack(images)


def _splitmix(x: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser (Steele, Lea & Flood 2014), vectorised: a bijection of 64-bit words that mixes all bits."""
    with np.errstate(over="ignore"):
        z = x + np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
