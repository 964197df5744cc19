"""The smallest real bases of each family (diffusers' and transformers' own classes, random weights) and studies on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    VQModel,
)
from transformers import CLIPTextConfig, CLIPTextModel

from tasks.families import Family, family_of
from tasks.families.lora import adapters, down_up
from tasks.model.model import Model
from tasks.model.train import TrainingData
from tasks.study import Study
from tasks.toy.tokenizer import train_tokenizer
from tests.model.building import digests_of

SIDE = 16  # pixels; latents have half of it
PROMPTS = ("a red circle", "a blue square", "a green triangle", "two red squares", "a blue circle")


def autoencoder(kind: str = "AutoencoderKL") -> AutoencoderKL | VQModel:
    """Halves the sides; four latent channels."""
    common: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "block_out_channels": (8, 8),
        "latent_channels": 4,
        "norm_num_groups": 4,
        "sample_size": SIDE,
        "scaling_factor": 0.5,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return AutoencoderKL(**common) if kind == "AutoencoderKL" else VQModel(**common, num_vq_embeddings=16)


def pipeline(**unet: Any) -> StableDiffusionPipeline:
    """A Stable Diffusion whose prompts are heard at the coarser of two levels. unet: other arguments of its network."""
    tokenizer = train_tokenizer(PROMPTS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=tokenizer.model_max_length,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        torch.nn.init.normal_(text_encoder.get_input_embeddings().weight)  # else all prompts are nearly one
        network = UNet2DConditionModel(
            **{
                "sample_size": SIDE // 2,
                "in_channels": 4,
                "out_channels": 4,
                "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
                "block_out_channels": (8, 16),
                "layers_per_block": 1,
                "cross_attention_dim": 16,
                "attention_head_dim": 2,
                "norm_num_groups": 4,
                **unet,
            }
        )
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=network,
        scheduler=DDPMScheduler(
            num_train_timesteps=100, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_bases(folder: Path) -> None:
    """`kl` and `vq`, an autoencoder each, and `sd`, a pipeline."""
    autoencoder().save_pretrained(folder / "kl")
    autoencoder("VQModel").save_pretrained(folder / "vq")
    pipeline().save_pretrained(folder / "sd")


def study_of(family: str, bases: Path, **sections: dict[str, Any]) -> Study:
    """A study of `family`: "ddpm", "ldm", "ldm-vq" or "sd-lora"; `sections` changes single fields."""
    network: dict[str, Any] = {"channels": [8, 16], "norm_groups": 4, "noise_steps": 100}
    model: dict[str, Any] = {
        "ddpm": {**network},
        "ldm": {**network, "autoencoder": str(bases / "kl")},
        "ldm-vq": {**network, "autoencoder": str(bases / "vq")},
        "sd-lora": {"pretrained": str(bases / "sd"), "lora_rank": 4},
    }[family]
    form: dict[str, dict[str, Any]] = {
        "model": {
            "family": family.removesuffix("-vq"),
            "resolution": SIDE,
            "train_steps": 6,
            "batch_size": 8,
            **model,
        },
        "pruning": {"ratio": 0.5, "recovery_steps": 3},
        "coalition": {"steps": 4, "batch_size": 8},
        "sampling": {"steps": 3, "images": 6, "prompts": list(PROMPTS[:2])},
        "properties": {"names": ["heldout_loss"], "heldout_timesteps": 3},
        "execution": {"device": "cpu", "mode": "inline"},
    }
    for name, fields in sections.items():
        form[name] = {**form.get(name, {}), **fields}
    return Study.model_validate(form)


def pixel_data(count: int = 20, seed: int = 0, prompts: bool = False) -> TrainingData:
    """Random images with digests, each of weight 1."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    told = tuple(PROMPTS[i % len(PROMPTS)] for i in range(count)) if prompts else ()
    return TrainingData(torch.from_numpy(pixels), digests_of(count, str(seed)), np.ones(count), told)


def encoded(model: Model, family: Family, **arguments: Any) -> TrainingData:
    """`pixel_data` as this model is trained on them."""
    data = pixel_data(prompts=family.takes_prompts, **arguments)
    return TrainingData(model.encode(data.inputs), data.digests, data.weights, data.prompts)


def family_and_model(family: str, bases: Path, **sections: dict[str, Any]) -> tuple[Family, Model]:
    """A family, and what its reference starts from; adapters of a LoRA already add something."""
    made = family_of(study_of(family, bases, **sections).model)
    model = made.build()
    if family == "sd-lora":
        stir(model)
    return made, model


@torch.no_grad()
def stir(model: Model, seed: int = 0, size: float = 0.1) -> None:
    """Adapters as a training leaves them: no matrix is zero."""
    generator = torch.Generator().manual_seed(seed)
    for layer in adapters(model.network).values():
        for matrix in down_up(layer):
            matrix.copy_(size * torch.randn(matrix.shape, generator=generator))


@torch.no_grad()
def predicted(model: Model, prompts: tuple[str, ...] = PROMPTS[:2]) -> torch.Tensor:
    """What a model says of two noisy inputs (and prompts)."""
    model.network.eval()
    x = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(1))
    condition = model.embed(prompts)
    return model.predict(
        x.to(model.device),
        torch.tensor([3, 90], device=model.device),
        None if condition is None else condition.to(model.device),
    ).cpu()


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def edit(path: Path, **entries: object) -> None:
    """Change entries of a JSON file; None removes one."""
    content = {**json.loads(path.read_text()), **entries}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
