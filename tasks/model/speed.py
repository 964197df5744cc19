"""What makes a card faster, or its memory go further, without changing what is computed beyond rounding."""

from __future__ import annotations

from typing import Any

import torch

from tasks.model.model import Model
from tasks.study import ExecutionSpec


def prepare_for_training(model: Model, execution: ExecutionSpec) -> None:
    """Bring a model's network into the form that the study's execution section asks for.

    Gradient checkpointing also works on a CPU, and for networks that have it. Channels-last memory and compilation are for
    cards: on a CPU they are left alone.
    """
    network: Any = model.network
    if execution.gradient_checkpointing and hasattr(network, "enable_gradient_checkpointing"):
        network.enable_gradient_checkpointing()
    if model.device.type != "cuda":
        return
    if execution.channels_last:
        network.to(memory_format=torch.channels_last)
    if execution.compile:
        network.compile()  # in place: the names of the weights stay
