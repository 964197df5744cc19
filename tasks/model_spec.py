"""The model section of a study: which family of models, and how the reference is trained or where it is.

Fields of a family that the study does not use never enter a digest.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from tasks.section import Section


class ModelSpec(Section):
    """The reference model: trained on everybody's data, or a diffusers pipeline that exists already."""

    family: str = Field(
        default="ddpm",
        description="ddpm: U-Net on pixels. ldm: U-Net on the latents of an autoencoder. sd-lora: LoRA adapters on Stable "
        "Diffusion, with prompts. Or your own as module:class.",
    )
    pretrained: str | None = Field(
        default=None,
        description="Path or hub id of a diffusers pipeline of the family; empty means: train one. sd-lora: the base that "
        "adapters are trained on.",
    )
    pretrained_is: Literal["reference", "base"] = Field(
        default="reference",
        description="reference: trained on everybody's images already, used as it is. base: never saw them, and is "
        "trained on them for train_steps first. sd-lora: always base.",
    )
    autoencoder: str | None = Field(
        default=None,
        description="ldm: path or hub id of a diffusers VQModel or AutoencoderKL, which is used as it is.",
    )
    lora_rank: int = Field(default=8, ge=1, le=1024, description="sd-lora: rank of the adapters.")
    lora_alpha: float | None = Field(
        default=None, gt=0, description="sd-lora: adapters are scaled by alpha / rank; empty means alpha = rank."
    )
    lora_targets: list[str] = Field(
        default=["to_q", "to_k", "to_v", "to_out.0"], min_length=1, description="sd-lora: layers that get adapters."
    )
    resolution: int = Field(default=16, ge=8, le=1024, description="Side of the square images, in pixels.")
    channels: list[int] = Field(default=[16, 32, 64], min_length=1, description="Channels of each level of the U-Net.")
    layers_per_block: int = Field(default=1, ge=1, le=4, description="Residual layers in each block.")
    attention_levels: list[int] = Field(default=[], description="Levels that have self-attention, 0 is the finest.")
    attention_head_dim: int | None = Field(
        default=8, ge=1, description="Channels of one attention head; empty means one head a layer."
    )
    norm_groups: int = Field(default=8, ge=1, description="Groups of the group normalisation; divides all channels.")
    noise_steps: int = Field(default=1000, ge=10, le=10000, description="Diffusion timesteps T.")
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = Field(
        default="squaredcos_cap_v2", description="Noise schedule of DDPMScheduler."
    )
    beta_start: float = Field(
        default=1e-4, gt=0, lt=1, description="linear and scaled_linear: noise added at the first timestep."
    )
    beta_end: float = Field(default=0.02, gt=0, lt=1, description="linear and scaled_linear: at the last.")
    train_steps: int = Field(default=1500, ge=1, description="Gradient steps of the reference training.")
    batch_size: int = Field(default=64, ge=1, description="Images in a batch.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Peak learning rate of the reference training.")
    learning_rate_decay: Literal["cosine", "constant"] = Field(
        default="cosine",
        description="After a short warm-up the learning rate falls to zero, or stays; of all trainings.",
    )
    weight_decay: float = Field(default=0, ge=0, lt=1, description="Weight decay of AdamW, in all trainings.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="Of the forward passes of training and drawing; bf16 or fp16 are for cards."
    )
    ema_decay: float = Field(default=0.995, ge=0, lt=1, description="Decay of the weights' moving average.")
    seed: int = Field(default=0, ge=0, description="Seed of initial weights, batches and noise.")
    options: dict[str, Any] = Field(default={}, description="Settings of a family of your own; ours have none here.")

    @model_validator(mode="after")
    def _shapes_fit(self) -> ModelSpec:
        if self.family not in ("ddpm", "ldm"):
            return self
        bad = [c for c in self.channels if c % self.norm_groups]
        if bad:
            raise ValueError(f"model.channels {bad} are not divisible by model.norm_groups {self.norm_groups}")
        if self.family == "ddpm" and self.resolution % 2 ** (len(self.channels) - 1):
            raise ValueError(
                f"model.resolution {self.resolution} cannot be halved {len(self.channels) - 1} times; "
                "use fewer levels in model.channels or another resolution"
            )
        if any(not 0 <= level < len(self.channels) for level in self.attention_levels):
            raise ValueError(f"model.attention_levels must lie in 0..{len(self.channels) - 1}")
        head = self.attention_head_dim
        odd = [c for c in self.channels if self.attention_levels and head is not None and c % min(c, head)]
        if odd:
            raise ValueError(f"model.channels {odd} are not divisible by model.attention_head_dim {head}")
        if self.beta_start > self.beta_end:
            raise ValueError(f"model.beta_start {self.beta_start} is larger than model.beta_end {self.beta_end}")
        return self
