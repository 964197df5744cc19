"""One gradient of one batch: in mixed precision where the recipe says so, and in parts where the card's memory is too small.

The batch, its noise and its timesteps are those of the whole batch however many parts it is taken in, and parts are weighed
by their size: out of memory costs time and, up to rounding, no other result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import torch

from tasks.model.model import Condition, Model

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """A block whose matrix products and convolutions are made in "fp32", "bf16" or "fp16"."""
    kind = _TYPES.get(precision)
    return contextlib.nullcontext() if kind is None else torch.autocast(device.type, kind)


class Gradient:
    """Adds up gradients of a model's loss. precision: "fp32", "bf16" or "fp16" of the forward pass; with fp16 the loss is
    scaled, so that small gradients do not vanish (Micikevicius et al. 2018)."""

    def __init__(self, model: Model, precision: str) -> None:
        self._model = model
        self._precision = precision
        self._scaler = torch.amp.GradScaler(model.device.type) if precision == "fp16" else None
        self.parts = 1  # in which a batch is taken; grows when memory does not suffice
        self.skipped = 0  # steps in which a scaled gradient overflowed: the optimiser never counted them

    def add(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, condition: Condition) -> float:
        """Back-propagate the loss of a batch; returns it.

        Args:
            clean, noise: float32 [B, C, h, w]. timesteps: int64 [B].

        Raises:
            torch.OutOfMemoryError: if not even one image at a time fits.
        """
        while True:
            try:
                return self._add(clean, noise, timesteps, condition)
            except torch.OutOfMemoryError as error:
                if self.parts >= len(clean):
                    raise torch.OutOfMemoryError(
                        f"one image at a time is too much for this device's memory; set "
                        f"execution.gradient_checkpointing, or use a larger card ({error})"
                    ) from error
            self.parts = min(2 * self.parts, len(clean))
            self._model.network.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _add(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, condition: Condition) -> float:
        total = 0.0
        for rows in torch.arange(len(clean)).tensor_split(self.parts):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            with in_precision(self._precision, clean.device):
                given = None if condition is None else condition[part]
                loss = self._model.loss(clean[part], noise[part], timesteps[part], given)
            if self.parts > 1:
                loss = loss * (len(rows) / len(clean))
            total += loss.item()
            (loss if self._scaler is None else self._scaler.scale(loss)).backward()
        return total

    def step(self, optimiser: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter]) -> None:
        """One step of the optimiser, the gradient's norm clipped at 1."""
        if self._scaler is None:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            return
        self._scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        before = self._scaler.get_scale()
        self._scaler.step(optimiser)
        self._scaler.update()
        self.skipped += self._scaler.get_scale() < before

    def state(self) -> dict[str, torch.Tensor]:
        """What a training that goes on must know, where the loss is scaled: its scale, and how many steps were left out."""
        if self._scaler is None:
            return {}
        state = self._scaler.state_dict()
        return {
            "scaler/scale": torch.tensor([state["scale"]], dtype=torch.float64),
            "scaler/growth": torch.tensor([state["_growth_tracker"]], dtype=torch.int64),
            "scaler/skipped": torch.tensor([self.skipped], dtype=torch.int64),
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take on what `state` gave."""
        if self._scaler is not None:
            now = self._scaler.state_dict()
            now |= {
                "scale": float(state["scaler/scale"].item()),
                "_growth_tracker": int(state["scaler/growth"].item()),
            }
            self._scaler.load_state_dict(now)
            self.skipped = int(state["scaler/skipped"].item())
