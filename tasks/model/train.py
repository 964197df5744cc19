"""The training loop: one for the reference, for recovery and for coalitions.

Straight-line on purpose. A fixed number of gradient steps; batches, noise and timesteps from `randomness`, so a run that
was killed and goes on from a checkpoint gives the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel

from tasks.model.randomness import choose_batch, image_keys, noise_and_timesteps
from tasks.model.unet import to_model_space

Progress = Callable[[int, int, float], None]  # (step done, steps, loss)


class Diverged(ValueError):
    """Training produced a number that is not finite: a failed evaluation, never a score."""


@dataclass(frozen=True)
class TrainRecipe:
    """Everything that decides the outcome of a training, besides the start and the data."""

    steps: int
    batch_size: int
    learning_rate: float
    ema_decay: float
    seed: int
    warmup: float = 0.05  # share of the steps

    @property
    def bounded_ema_decay(self) -> float:
        """The decay really used: at most 1 % of the starting weights is left in the average after `steps` steps.

        A slower average would leave the pruned model, which has seen everybody's data, in every coalition's weights.
        """
        return min(self.ema_decay, 0.01 ** (1.0 / self.steps))


@dataclass(frozen=True)
class TrainingData:
    """Distinct images and how much each weighs for this coalition."""

    pixels: torch.Tensor  # uint8[n, r, r, 3]
    digests: tuple[str, ...]
    weights: np.ndarray  # float64[n], sum of the present owners' shares

    def __post_init__(self) -> None:
        if not len(self.pixels) == len(self.digests) == len(self.weights):
            raise ValueError(
                f"{len(self.pixels)} images, {len(self.digests)} digests and {len(self.weights)} weights do not match"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise ValueError("weights of images must be finite and not negative")


@dataclass
class TrainState:
    """All that has to be saved to go on exactly where a training was: tensors by name, and the step."""

    step: int
    tensors: dict[str, torch.Tensor]


def learning_rate(recipe: TrainRecipe, step: int) -> float:
    """Linear warm-up, then cosine decay to zero: the last steps average out gradient noise."""
    warmup = max(1, round(recipe.warmup * recipe.steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, recipe.steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train(
    unet: UNet2DModel,
    schedule: DDPMScheduler,
    data: TrainingData,
    recipe: TrainRecipe,
    *,
    device: torch.device | str = "cpu",
    resume: TrainState | None = None,
    save: Callable[[TrainState], None] | None = None,
    save_every_seconds: float = math.inf,
    progress: Progress | None = None,
) -> list[float]:
    """Train `unet` in place on the ordinary denoising loss (Ho et al. 2020, eq. 14) and leave the EMA weights in it.

    Args:
        resume: state of an earlier, interrupted call with equal arguments.
        save: called with the state about every `save_every_seconds`.

    Returns:
        The loss of each step of this call.

    Raises:
        Diverged: if the loss or the weights are not finite.
        ValueError: if `resume` is not a state of this training, or no image has positive weight.
    """
    unet.to(device).train()
    keys = image_keys(data.digests)
    optimiser = torch.optim.Adam(unet.parameters(), lr=recipe.learning_rate, fused=True)  # one kernel, not one a tensor
    parameters = dict(unet.named_parameters())
    average = {name: p.detach().clone() for name, p in parameters.items()}
    decay = recipe.bounded_ema_decay
    start = 0
    if resume is not None:
        why_not = misfit(unet, recipe, resume)
        if why_not is not None:
            raise ValueError(f"the state to go on from is not one of this training: {why_not}")
        start = resume.step
        _load_state(parameters, optimiser, average, resume)
    losses: list[float] = []
    saved = time.monotonic()
    for step in range(start, recipe.steps):
        chosen = choose_batch(recipe.seed, step, keys, data.weights, recipe.batch_size)
        clean = to_model_space(data.pixels[torch.from_numpy(chosen)]).to(device)  # [B, 3, r, r]
        noise, timesteps = noise_and_timesteps(
            recipe.seed, step, tuple(clean.shape), schedule.config["num_train_timesteps"]
        )
        noise, timesteps = noise.to(device), timesteps.to(device)
        noisy = schedule.add_noise(clean, noise, timesteps)  # [B, 3, r, r]
        loss = torch.nn.functional.mse_loss(unet(noisy, timesteps).sample, noise)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise Diverged(
                f"training loss is {losses[-1]} at step {step + 1} of {recipe.steps}; lower the learning rate"
            )
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), list(parameters.values()), 1.0 - decay)
        if progress is not None:
            progress(step + 1, recipe.steps, losses[-1])
        if save is not None and time.monotonic() - saved > save_every_seconds and step + 1 < recipe.steps:
            save(_state(parameters, optimiser, average, step + 1))
            saved = time.monotonic()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(average[name])
            if not torch.isfinite(parameter).all():
                raise Diverged(f"weights of {name} are not finite after {recipe.steps} steps; lower the learning rate")
    unet.eval()
    return losses


def misfit(unet: UNet2DModel, recipe: TrainRecipe, state: TrainState) -> str | None:
    """Why `state` cannot be gone on from in this training; None if it can."""
    if not 0 < state.step <= recipe.steps:
        return f"it is at step {state.step} of {recipe.steps}"
    shapes = {f"{part}/{name}": p.shape for name, p in unet.named_parameters() for part in _PARTS}
    if shapes != {name: tensor.shape for name, tensor in state.tensors.items()}:
        return "its tensors are not those of the network"
    return None


_MOMENTS = ("exp_avg", "exp_avg_sq")
_PARTS = ("weights", "average", *_MOMENTS)


def _state(
    parameters: Mapping[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
    step: int,
) -> TrainState:
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weights/{name}"] = parameter.detach().cpu().clone()
        tensors[f"average/{name}"] = average[name].cpu().clone()
        for moment in _MOMENTS:
            tensors[f"{moment}/{name}"] = optimiser.state[parameter][moment].cpu().clone()
    return TrainState(step, tensors)


def _load_state(
    parameters: Mapping[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
    state: TrainState,
) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.tensors[f"weights/{name}"])
            average[name].copy_(state.tensors[f"average/{name}"])
            # A fused Adam counts its steps on the parameter's own device.
            optimiser.state[parameter] = {"step": torch.tensor(float(state.step), device=parameter.device)}
            for moment in _MOMENTS:
                optimiser.state[parameter][moment] = state.tensors[f"{moment}/{name}"].to(parameter.device, copy=True)
