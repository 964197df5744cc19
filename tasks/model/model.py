"""A diffusion model in hand: what training, drawing and scoring see of it, whatever its family.

    pixels ──encode──▶ inputs ──start──▶ x₀ in the model's own space ──loss──▶ gradient
    noise ──draw──▶ x₀ ──decode──▶ pixels            prompts ──embed──▶ condition

`Model` itself is of pixels, without prompts: what it does is what a DDPM does. A family with latents, adapters or prompts
overrides what differs (tasks.families). Only the numbers in `trainable` are trained, averaged and stored with a coalition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from torch import nn

from tasks.model.unet import reset_weights, to_model_space, to_pixels

Sampler = Literal["ddim", "dpmsolver++"]
Condition = torch.Tensor | None  # float32 [b, tokens, width] of a text encoder; None where there are no prompts
Loss = Callable[[], None]  # adds a loss's gradients to those of the weights, one batch after another


class Model:
    """A denoising network with its noise schedule.

    network: predicts noise ε from (x_t, t). schedule: the forward process (Ho et al. 2020, eq. 4).
    """

    def __init__(self, network: nn.Module, schedule: DDPMScheduler, shape: tuple[int, int, int] | None = None) -> None:
        self.network = network
        self.schedule = schedule
        self._shape = shape  # where the network is not one of diffusers, which know their own

    # --- numbers -----------------------------------------------------------------------------------------------------
    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Move everything that is used to a device."""
        self.network.to(device)
        return self

    def trainable(self) -> dict[str, nn.Parameter]:
        """What training changes, by name."""
        return dict(self.network.named_parameters())

    def weights(self) -> dict[str, torch.Tensor]:
        """What tells this model from others of its shape: all that is stored of a coalition's model. Copies,
        on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take on what `weights` gave. Raises RuntimeError if they are of another shape."""
        self.network.load_state_dict(dict(weights))

    def reset(self, seed: int) -> None:
        """Random weights, drawn on the CPU from `seed` alone: a model that has seen nothing."""
        reset_weights(self.network, seed)

    # --- spaces ------------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one x in the model's own space."""
        if self._shape is not None:
            return self._shape
        config: Mapping[str, Any] = self.network.config  # type: ignore[assignment]  # diffusers' own mapping
        return config["in_channels"], config["sample_size"], config["sample_size"]

    @property
    def noise_steps(self) -> int:
        """T: timesteps are 0..T-1."""
        return int(self.schedule.config["num_train_timesteps"])

    @property
    def encoder(self) -> str:
        """Digest of what `encode` encodes with; empty where inputs are the pixels themselves."""
        return ""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [b, r, r, 3] -> what is trained on, on the CPU."""
        return pixels

    def encode_again(self, pixels: torch.Tensor) -> torch.Tensor:
        """As `encode`, for images that are asked for with every coalition, such as the held-out ones."""
        return self.encode(pixels)

    def start(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs of `encode` -> x₀: float32 [b, C, h, w]."""
        return to_model_space(inputs)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """x₀ float32 [b, C, h, w] -> uint8 [b, r, r, 3] on the CPU."""
        return to_pixels(x).cpu()

    def embed(self, prompts: Sequence[str]) -> Condition:
        """What the network is told of the prompts; None for a model that takes none."""
        return None

    # --- the model ---------------------------------------------------------------------------------------------------
    def predict(self, noisy: torch.Tensor, timesteps: torch.Tensor, condition: Condition = None) -> torch.Tensor:
        """x_t float32 [b, C, h, w], int64 [b] or a scalar -> predicted noise [b, C, h, w]; all where the network is."""
        return self.network(noisy, timesteps).sample

    def loss(
        self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, condition: Condition = None
    ) -> torch.Tensor:
        """The training objective, a scalar: mean (ε - ε_θ(x_t, t))² (Ho et al. 2020, eq. 14)."""
        noisy = self.schedule.add_noise(clean, noise, timesteps)  # [b, C, h, w]
        return nn.functional.mse_loss(self.predict(noisy, timesteps, condition).float(), noise)

    def draw(
        self, noise: torch.Tensor, sampler: Sampler, steps: int, condition: Condition = None, guidance: float = 1.0
    ) -> torch.Tensor:
        """x_T float32 [b, C, h, w] -> x₀, by a deterministic few-step sampler.

        Args:
            condition: of each image. guidance: scale w of classifier-free guidance (Ho & Salimans 2022), where 1 is none;
                `condition` then holds 2b rows, those of the empty prompt first.
        """
        solver = make_sampler(sampler, self.schedule)  # a multistep solver remembers its last steps: one a batch
        solver.set_timesteps(steps)
        x = noise
        for t in solver.timesteps:
            predicted = self.guided(x, t, condition, guidance)
            x = solver.step(predicted, t, x).prev_sample
        return x

    def guided(self, x: torch.Tensor, t: torch.Tensor, condition: Condition, guidance: float) -> torch.Tensor:
        """Predicted noise [b, C, h, w] with guidance: ε_∅ + w (ε_c - ε_∅)."""
        if guidance == 1.0 or condition is None:
            return self.predict(x, t, condition)
        without, given = self.predict(torch.cat([x, x]), t, condition).chunk(2)
        return without + guidance * (given - without)


def make_sampler(sampler: Sampler, schedule: DDPMScheduler) -> DDIMScheduler | DPMSolverMultistepScheduler:
    """A deterministic sampler over the model's own noise schedule: DDIM with eta 0 (Song et al. 2021) or
    DPM-Solver++ 2M (Lu et al. 2022)."""
    if sampler == "ddim":
        return DDIMScheduler.from_config(schedule.config)
    return DPMSolverMultistepScheduler.from_config(
        schedule.config, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
    )


class ModelDenoiser:
    """A model as the properties that score weights see it (tasks.properties.types.Denoiser)."""

    def __init__(self, model: Model) -> None:
        model.network.eval()
        self.model = model
        self.alphas_cumprod: torch.Tensor = model.schedule.alphas_cumprod  # float32[T]

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [b, r, r, 3] -> x₀ float32 [b, C, h, w] in the model's own space, on the CPU."""
        return self.model.start(self.model.encode_again(pixels))

    @torch.no_grad()
    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str] = ()) -> torch.Tensor:
        """noisy float32[b, C, h, w], timesteps int64[b] -> predicted noise float32[b, C, h, w], where `noisy` is."""
        device = self.model.device
        condition = self.model.embed(prompts) if prompts else None
        if condition is not None:
            condition = condition.to(device)
        return self.model.predict(noisy.to(device), timesteps.to(device), condition).float().to(noisy.device)
