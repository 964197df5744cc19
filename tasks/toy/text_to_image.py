"""The toy text-to-image base: a whole Stable Diffusion (Rombach et al. 2022), only small, in its own classes.

Stable Diffusion takes a trained CLIP for its text encoder. There is none as small as this, so here it learns with the UNet.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tasks.model.randomness import choose_batch, image_keys, mix, noise_and_timesteps
from tasks.progress import Ticker
from tasks.toy.autoencoder import encode
from tasks.toy.fit import fit
from tasks.toy.images import Lessons
from tasks.toy.tokenizer import LONGEST, MERGES, train_tokenizer

CHANNELS = (32, 64)
TEXT_WIDTH = 64
BATCH = 32
LEARNING_RATE = 2e-3
DROPOUT = 0.1  # of prompts, for classifier-free guidance (Ho & Salimans 2022, algorithm 1)
CHOICES = {
    "channels": list(CHANNELS),
    "text_width": TEXT_WIDTH,
    "tokens": LONGEST,
    "merges": MERGES,
    "batch": BATCH,
    "learning_rate": LEARNING_RATE,
    "dropout": DROPOUT,
}


def train_text_to_image(
    lessons: Lessons, autoencoder: AutoencoderKL, *, steps: int, seed: int, ticker: Ticker
) -> StableDiffusionPipeline:
    """A pipeline of `autoencoder`, which stays as it is, and of a UNet and a text encoder trained on the denoising loss of
    the images' latents given their prompts (Rombach et al. 2022, equation 3)."""
    tokenizer = train_tokenizer(lessons.prompts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 1))
        text_encoder = _text_encoder(tokenizer)
        unet = _unet(autoencoder)
    # The betas of Stable Diffusion. Those of a cosine leave no image at all in the last timestep, from where a network
    # that predicts noise cannot return without clipping, which latents do not allow.
    scheduler = DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        steps_offset=1,
    )
    latents = encode(autoencoder, lessons.pixels) * autoencoder.config["scaling_factor"]  # [n, 4, h, w]
    distinct, rows = np.unique(np.array([*lessons.prompts, ""]), return_inverse=True)
    tokens = tokenizer(
        list(distinct), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids  # [p, LONGEST]
    told = torch.from_numpy(rows)  # int64[n + 1], the row of `tokens` of each image, and at last of the empty prompt
    keys, weights = image_keys(lessons.digests), np.ones(len(lessons.digests))

    def loss_of(step: int) -> torch.Tensor:
        chosen = torch.from_numpy(choose_batch(seed, step, keys, weights, BATCH))
        clean = latents[chosen]  # [B, 4, h, w]
        noise, timesteps = noise_and_timesteps(seed, step, tuple(clean.shape), 1000)
        dropped = torch.rand(BATCH, generator=torch.Generator().manual_seed(mix(seed, step, 2))) < DROPOUT
        prompts, of_image = told[torch.where(dropped, -1, chosen)].unique(return_inverse=True)
        states = text_encoder(tokens[prompts]).last_hidden_state[of_image]  # [B, LONGEST, TEXT_WIDTH]
        predicted = unet(scheduler.add_noise(clean, noise, timesteps), timesteps, states).sample
        return torch.nn.functional.mse_loss(predicted, noise)

    fit([unet, text_encoder], loss_of, steps=steps, learning_rate=LEARNING_RATE, ticker=ticker)
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = CLIPTextModel(config)
    # CLIP's words begin so small that at first all prompts are nearly one; it has millions of texts to part them, we not.
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    return model


def _unet(autoencoder: AutoencoderKL) -> UNet2DConditionModel:
    halvings = len(autoencoder.config["block_out_channels"]) - 1
    channels = int(autoencoder.config["latent_channels"])
    return UNet2DConditionModel(
        sample_size=int(autoencoder.config["sample_size"]) >> halvings,
        in_channels=channels,
        out_channels=channels,
        # Prompts are heard where there are 4 x 4 places: attention among 8 x 8 would take most of the time.
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    )
