"""The toy autoencoder: what a frozen VQ-VAE or Stable Diffusion's VAE is at paper scale (Rombach et al. 2022, section 3.1).

32 x 32 x 3 pixels become 8 x 8 x 4 latents. There is no discriminator and no perceptual loss, which the real ones
have for the texture of photographs: flat drawings of this size need none.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL

from tasks.model.randomness import choose_batch, image_keys, mix
from tasks.progress import Ticker
from tasks.toy.fit import fit
from tasks.toy.images import Lessons, to_model_space

CHANNELS = (16, 32, 32)  # of each resolution; two halvings
# Normalised in groups of two channels, as 8 groups of 16 would be, a network cannot tell how much of a colour there is.
NORM_GROUPS = 2
CHROMA_WEIGHT = 2.0  # of the error in colour beside the whole error; without it colours come long after outlines
KL_WEIGHT = 1e-5  # of the mean over the latents; it only keeps them from growing without bounds
BATCH = 6  # small, for many steps in little time
LEARNING_RATE = 6e-3
CHOICES = {
    "channels": list(CHANNELS),
    "norm_groups": NORM_GROUPS,
    "chroma_weight": CHROMA_WEIGHT,
    "kl_weight": KL_WEIGHT,
    "batch": BATCH,
    "learning_rate": LEARNING_RATE,
}


def train_autoencoder(lessons: Lessons, *, steps: int, seed: int, ticker: Ticker) -> AutoencoderKL:
    """An autoencoder of the images, on the squared error of pixels and of their colours (a pixel less its mean over red,
    green and blue), and a little KL divergence of the latents from standard noise.

    Its `scaling_factor` is 1 / the standard deviation of the images' latents, as Stable Diffusion's is (Rombach et al.
    2022, appendix G), so that a diffusion model of them sees unit variance.
    """
    resolution = lessons.pixels.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 1))
        model = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
            up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
            block_out_channels=CHANNELS,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=NORM_GROUPS,
            sample_size=resolution,
        )
    keys, weights = image_keys(lessons.digests), np.ones(len(lessons.digests))

    def loss_of(step: int) -> torch.Tensor:
        clean = to_model_space(lessons.pixels[choose_batch(seed, step, keys, weights, BATCH)])  # [B, 3, r, r]
        latents = model.encode(clean).latent_dist
        noise = torch.randn(latents.mean.shape, generator=torch.Generator().manual_seed(mix(seed, step, 2)))
        error = model.decode(latents.mean + latents.std * noise).sample - clean  # [B, 3, r, r]
        chroma = error - error.mean(dim=1, keepdim=True)
        divergence = 0.5 * (latents.mean.square() + latents.var - 1.0 - latents.logvar).mean()
        return error.square().mean() + CHROMA_WEIGHT * chroma.square().mean() + KL_WEIGHT * divergence

    fit([model], loss_of, steps=steps, learning_rate=LEARNING_RATE, ticker=ticker)
    model.register_to_config(scaling_factor=1.0 / float(encode(model, lessons.pixels).std()))
    return model


@torch.no_grad()
def encode(model: AutoencoderKL, pixels: np.ndarray) -> torch.Tensor:
    """Means of the latents of uint8[n, r, r, 3], not scaled: float32[n, 4, r/4, r/4]."""
    batches = np.array_split(pixels, -(-len(pixels) // 128))
    return torch.cat([model.encode(to_model_space(batch)).latent_dist.mean for batch in batches])
