"""The toy autoencoder: what a frozen VQ-VAE or Stable Diffusion's VAE is at paper scale (Rombach et al. 2022, section 3.1).

32 x 32 x 3 pixels become 8 x 8 x 4 latents. Without the discriminator and the perceptual loss of the real ones: on flat
drawings of this size absolute error alone gives sharp edges.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL

from tasks.model.randomness import choose_batch, image_keys, mix
from tasks.progress import Ticker
from tasks.toy.fit import fit
from tasks.toy.images import Lessons, to_model_space

CHANNELS = (8, 32, 32)  # of each resolution; two halvings
KL_WEIGHT = 1e-4  # per number of an image; small: it only keeps the latents near the size of noise
BATCH = 16
LEARNING_RATE = 3e-3


def train_autoencoder(lessons: Lessons, *, steps: int, seed: int, ticker: Ticker) -> AutoencoderKL:
    """An autoencoder of the images, on mean absolute error + KL_WEIGHT x mean KL divergence from standard noise.

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
            norm_num_groups=8,
            sample_size=resolution,
        )
    keys, weights = image_keys(lessons.digests), np.ones(len(lessons.digests))

    def loss_of(step: int) -> torch.Tensor:
        clean = to_model_space(lessons.pixels[choose_batch(seed, step, keys, weights, BATCH)])  # [B, 3, r, r]
        latents = model.encode(clean).latent_dist
        noise = torch.randn(latents.mean.shape, generator=torch.Generator().manual_seed(mix(seed, step, 2)))
        decoded = model.decode(latents.mean + latents.std * noise).sample  # [B, 3, r, r]
        divergence = 0.5 * (latents.mean.square() + latents.var - 1.0 - latents.logvar).mean()
        return torch.nn.functional.mse_loss(decoded, clean) + KL_WEIGHT * divergence

    fit([model], loss_of, steps=steps, learning_rate=LEARNING_RATE, ticker=ticker)
    model.register_to_config(scaling_factor=1.0 / float(encode(model, lessons.pixels).std()))
    return model


@torch.no_grad()
def encode(model: AutoencoderKL, pixels: np.ndarray) -> torch.Tensor:
    """Means of the latents of uint8[n, r, r, 3], not scaled: float32[n, 4, r/4, r/4]."""
    batches = np.array_split(pixels, -(-len(pixels) // 128))
    return torch.cat([model.encode(to_model_space(batch)).latent_dist.mean for batch in batches])
