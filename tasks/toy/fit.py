"""The training loop that both toy models share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from tasks.progress import Ticker
from tasks.toy.images import ToyError

_WARM_UP = 0.05  # share of the steps
_DECAY = 0.99  # of the average over the last steps, which takes the place of the weights


def fit(
    modules: Sequence[torch.nn.Module],
    loss_of: Callable[[int], torch.Tensor],
    *,
    steps: int,
    learning_rate: float,
    ticker: Ticker,
) -> None:
    """Train `modules` together, in place, on `loss_of(step)`, and leave the average of their last weights in them.

    Adam with a linear warm-up and a cosine decay to zero, gradients clipped to norm 1.

    Raises:
        ToyError: if a loss is not finite.
    """
    parameters = [parameter for module in modules for parameter in module.parameters()]
    average = [parameter.detach().clone() for parameter in parameters]
    decay = min(_DECAY, 0.01 ** (1 / steps))  # of the start, at most 1 % is left
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, 0.99), fused=True)
    for module in modules:
        module.train()
    for step in range(steps):
        loss = loss_of(step)
        if not math.isfinite(value := loss.item()):
            raise ToyError(f"the training loss is {value} at step {step + 1} of {steps}")
        optimiser.param_groups[0]["lr"] = learning_rate * _schedule(step, steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list[torch.Tensor](parameters), 1.0 - decay)
        ticker(step + 1, steps, value)
    with torch.no_grad():
        for parameter, value_ in zip(parameters, average, strict=True):
            parameter.copy_(value_)
    for module in modules:
        module.eval()


def _schedule(step: int, steps: int) -> float:
    warm_up = max(1, round(_WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
