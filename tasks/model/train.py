"""The training loop: one for the reference, for recovery and for coalitions.

Straight-line on purpose. A fixed number of gradient steps; batches, noise and timesteps from `randomness`, so a run that
was killed and goes on from a checkpoint gives the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from tasks.model.gradient import Gradient
from tasks.model.model import Condition, Model
from tasks.model.randomness import choose_batch, image_keys, noise_and_timesteps

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
    decay: Literal["cosine", "constant"] = "cosine"  # of the learning rate, after the warm-up
    weight_decay: float = 0.0  # AdamW's (Loshchilov & Hutter 2019)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the forward pass; weights are float32 always

    @property
    def bounded_ema_decay(self) -> float:
        """The decay really used: at most 1 % of the starting weights is left in the average after `steps` steps.

        A slower average would leave the pruned model, which has seen everybody's data, in every coalition's weights.
        """
        return min(self.ema_decay, 0.01 ** (1.0 / self.steps))


@dataclass(frozen=True)
class TrainingData:
    """Distinct images and how much each weighs for this coalition."""

    inputs: torch.Tensor  # uint8[n, r, r, 3] pixels, or float32[n, …] that `Model.encode` made of them
    digests: tuple[str, ...]
    weights: np.ndarray  # float64[n], sum of the present owners' shares
    prompts: tuple[str, ...] = ()  # n of them, or none for a model that takes none

    def __post_init__(self) -> None:
        if not len(self.inputs) == len(self.digests) == len(self.weights):
            raise ValueError(
                f"{len(self.inputs)} images, {len(self.digests)} digests and {len(self.weights)} weights do not match"
            )
        if self.prompts and len(self.prompts) != len(self.digests):
            raise ValueError(f"{len(self.prompts)} prompts for {len(self.digests)} images")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise ValueError("weights of images must be finite and not negative")


@dataclass
class TrainState:
    """All that has to be saved to go on exactly where a training was: tensors by name, and the step."""

    step: int
    tensors: dict[str, torch.Tensor]


def learning_rate(recipe: TrainRecipe, step: int) -> float:
    """Linear warm-up, then (unless constant) cosine decay to zero: the last steps average out gradient noise."""
    warmup = max(1, round(recipe.warmup * recipe.steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.decay == "constant":
        return recipe.learning_rate
    done = (step - warmup) / max(1, recipe.steps - warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def train(
    model: Model,
    data: TrainingData,
    recipe: TrainRecipe,
    *,
    device: torch.device | str = "cpu",
    resume: TrainState | None = None,
    save: Callable[[TrainState], None] | None = None,
    save_every_seconds: float = math.inf,
    progress: Progress | None = None,
) -> list[float]:
    """Train `model` in place on its objective, the ordinary denoising loss (Ho et al. 2020, eq. 14), and leave the EMA
    weights in it.

    Args:
        data: its inputs as `Model.encode` makes them.
        resume: state of an earlier, interrupted call with equal arguments.
        save: called with the state about every `save_every_seconds`.

    Returns:
        The loss of each step of this call.

    Raises:
        Diverged: if the loss or the weights are not finite.
        ValueError: if `resume` is not a state of this training, or no image has positive weight.
        torch.OutOfMemoryError: if not even one image at a time fits.
    """
    model.to(device).network.train()
    keys = image_keys(data.digests)
    parameters = model.trainable()
    # One kernel, not one a tensor.
    optimiser = torch.optim.AdamW(
        parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    average = {name: p.detach().clone() for name, p in parameters.items()}
    decay = recipe.bounded_ema_decay
    gradient = Gradient(model, recipe.precision)
    start = 0
    if resume is not None:
        why_not = misfit(model, recipe, resume)
        if why_not is not None:
            raise ValueError(f"the state to go on from is not one of this training: {why_not}")
        start = resume.step
        _load_state(parameters, optimiser, average, gradient, resume)
    losses: list[float] = []
    saved = time.monotonic()
    for step in range(start, recipe.steps):
        chosen = choose_batch(recipe.seed, step, keys, data.weights, recipe.batch_size)
        clean = model.start(data.inputs[torch.from_numpy(chosen)]).to(device)  # [B, C, h, w]
        noise, timesteps = noise_and_timesteps(recipe.seed, step, tuple(clean.shape), model.noise_steps)
        noise, timesteps = noise.to(device), timesteps.to(device)
        condition: Condition = model.embed([data.prompts[i] for i in chosen]) if data.prompts else None
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step)
        optimiser.zero_grad(set_to_none=True)
        losses.append(gradient.add(clean, noise, timesteps, None if condition is None else condition.to(device)))
        if not math.isfinite(losses[-1]):
            raise Diverged(
                f"training loss is {losses[-1]} at step {step + 1} of {recipe.steps}; lower the learning rate"
            )
        gradient.step(optimiser, parameters.values())
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), list(parameters.values()), 1.0 - decay)
        if progress is not None:
            progress(step + 1, recipe.steps, losses[-1])
        if save is not None and time.monotonic() - saved > save_every_seconds and step + 1 < recipe.steps:
            save(_state(parameters, optimiser, average, gradient, step + 1))
            saved = time.monotonic()
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(average[name])
            if not torch.isfinite(parameter).all():
                raise Diverged(f"weights of {name} are not finite after {recipe.steps} steps; lower the learning rate")
    model.network.eval()
    return losses


def misfit(model: Model, recipe: TrainRecipe, state: TrainState) -> str | None:
    """Why `state` cannot be gone on from in this training; None if it can."""
    if not 0 < state.step <= recipe.steps:
        return f"it is at step {state.step} of {recipe.steps}"
    shapes = {f"{part}/{name}": p.shape for name, p in model.trainable().items() for part in _PARTS}
    shapes |= {name: tensor.shape for name, tensor in Gradient(model, recipe.precision).state().items()}
    if shapes != {name: tensor.shape for name, tensor in state.tensors.items()}:
        return "its tensors are not those of the network"
    return None


_MOMENTS = ("exp_avg", "exp_avg_sq")
_PARTS = ("weights", "average", *_MOMENTS)


def _state(
    parameters: Mapping[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
    gradient: Gradient,
    step: int,
) -> TrainState:
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weights/{name}"] = parameter.detach().cpu().clone()
        tensors[f"average/{name}"] = average[name].cpu().clone()
        for moment in _MOMENTS:
            tensors[f"{moment}/{name}"] = optimiser.state[parameter][moment].cpu().clone()
    return TrainState(step, tensors | gradient.state())


def _load_state(
    parameters: Mapping[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, torch.Tensor],
    gradient: Gradient,
    state: TrainState,
) -> None:
    gradient.load(state.tensors)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state.tensors[f"weights/{name}"])
            average[name].copy_(state.tensors[f"average/{name}"])
            # A fused Adam counts its steps on the parameter's own device.
            taken = torch.tensor(float(state.step - gradient.skipped), device=parameter.device)
            optimiser.state[parameter] = {"step": taken}
            for moment in _MOMENTS:
                optimiser.state[parameter][moment] = state.tensors[f"{moment}/{name}"].to(parameter.device, copy=True)
