"""Likelihood-type quality: how well does a coalition's model denoise images that nobody trained on?

    loss = mean over held-out x and levels t of  mean (eps - eps_theta(sqrt(a_t) x + sqrt(1 - a_t) eps, t))^2

(the training objective of Ho et al. 2020, at fixed levels). The levels are the middles of equal strata of 0..T-1, and
the noise of an image at a level is a function of the image's digest and the level alone: every coalition is judged on
the same noisy images, an added held-out image changes nothing for the others, and no generator's state or library
version is involved. So nothing is left of the usual noise of a denoising loss between coalitions. No image is sampled.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial

import numpy as np
import torch
from scipy.special import ndtri

from infra.digest import canonical_json
from tasks.properties.registry import registered
from tasks.properties.types import Denoiser, Property, RealImages, Statistics, take
from tasks.study import PropertiesSpec

BATCH = 256
BATCH_PIXELS = 2**20  # 256 images of 64 x 64, 16 of 256 x 256: what fits; it changes no result beyond rounding
SHA256 = re.compile(r"[0-9a-f]{64}")


@registered("heldout_loss")
def heldout_loss(spec: PropertiesSpec) -> Property:
    """Denoising loss on the held-out images at spec.heldout_timesteps levels."""
    return Property(
        name="heldout_loss",
        needs="weights",
        sign=-1,
        unit="mean squared error",
        description=f"Denoising loss on the held-out images at {spec.heldout_timesteps} fixed noise levels; "
        "less is better",
        version=1,
        options={"timesteps": spec.heldout_timesteps},
        compute_statistics=_statistics,
        compute_score=partial(_score, spec.heldout_timesteps),
    )


def _statistics(real: RealImages) -> Statistics:
    """The held-out images themselves, ordered by digest."""
    if len(real.heldout) == 0:
        raise ValueError("heldout_loss needs held-out images, there are none; raise data.heldout_fraction")
    bad = [digest for digest in real.heldout_digests if not SHA256.fullmatch(digest)]
    if bad:
        raise ValueError(f"digests of held-out images must be 64 hex digits of sha256, got {bad[0]!r}")
    if len(set(real.heldout_digests)) != len(real.heldout_digests):
        raise ValueError("held-out images must be distinct, a digest occurs twice")
    order = np.argsort(real.heldout_digests)
    digests = np.frombuffer(bytes.fromhex("".join(real.heldout_digests)), dtype=np.uint8).reshape(-1, 32)
    found = {"images": real.heldout[order], "digests": digests[order]}
    if real.heldout_prompts:
        prompts = canonical_json([real.heldout_prompts[i] for i in order])
        found["prompts"] = np.frombuffer(prompts, dtype=np.uint8)
    return found


def _score(levels: int, denoiser: Denoiser, statistics: Statistics) -> float:
    images, digests = take(statistics, "heldout_loss", "images", "digests")
    prompts = json.loads(statistics["prompts"].tobytes()) if "prompts" in statistics else []
    signal = denoiser.alphas_cumprod
    timesteps = stratified_timesteps(len(signal), levels)
    pairs = [(image, int(t)) for t in timesteps for image in range(len(images))]
    size = max(1, min(BATCH, BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(pairs), size):
            batch = pairs[start : start + size]
            pixels = np.stack([images[image] for image, _ in batch])
            clean = denoiser.encode(torch.from_numpy(pixels)).to(signal.device)  # [b, C, h, w]
            # The order in memory decides the last bits of a score, so it is always the same one.
            clean = clean.contiguous(memory_format=torch.channels_last)
            drawn = fixed_noise([digests[image].tobytes() for image, _ in batch], [t for _, t in batch], clean[0].shape)
            noise = torch.from_numpy(drawn).to(signal.device)
            t = torch.tensor([t for _, t in batch], dtype=torch.int64, device=signal.device)
            a = signal[t].float().reshape(-1, 1, 1, 1)
            noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
            told = [prompts[image] for image, _ in batch] if prompts else ()
            predicted = denoiser.predict_noise(noisy, t, told)
            if predicted.shape != noise.shape:
                raise ValueError(f"the model predicts noise of shape {list(predicted.shape)}, not {list(noise.shape)}")
            # A mean for each image in float64, so that batch borders do not show in the sum.
            total += float(((predicted.float() - noise) ** 2).double().mean(dim=(1, 2, 3)).sum())
    return total / len(pairs)


def stratified_timesteps(noise_steps: int, levels: int) -> np.ndarray:
    """int64 [levels]: the middle timestep of each of `levels` equal strata of 0..noise_steps-1."""
    if levels > noise_steps:
        raise ValueError(f"properties.heldout_timesteps is {levels}, the model has only {noise_steps} noise steps")
    return np.floor((np.arange(levels) + 0.5) * noise_steps / levels).astype(np.int64)


def fixed_noise(digests: list[bytes], timesteps: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 [b, *shape], row i a function of (digests[i], timesteps[i], shape) only.

    sha256 makes the key of a Philox counter generator, whose raw bits NumPy promises never to change (its normal
    deviates it does not); the inverse normal distribution turns 32 of them into one deviate.
    """
    count = int(np.prod(shape))
    bits = np.empty((len(digests), count), dtype=np.uint32)
    for row, (digest, t) in enumerate(zip(digests, timesteps, strict=True)):
        key = hashlib.sha256(b"heldout_loss/" + digest + t.to_bytes(8, "little")).digest()[:16]
        raw = np.random.Philox(key=np.frombuffer(key, dtype="<u8")).random_raw((count + 1) // 2)
        bits[row] = raw.astype("<u8", copy=False).view("<u4")[:count]
    return ndtri((bits + 0.5) / 2.0**32).astype(np.float32).reshape(len(digests), *shape)
