"""When memory or a card fails, and what was read or asked for is not to blame: how that is recognised.

A card that is too small for a batch is another matter: it takes it in parts (tasks.model.gradient, tasks.model.sample).
"""

from __future__ import annotations

import torch

_OF_A_CARD = (torch.OutOfMemoryError, *([torch.AcceleratorError] if hasattr(torch, "AcceleratorError") else []))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system refused memory: Python's own error, numpy's, or torch's, which is known by its words."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def machines_fault(error: BaseException) -> bool:
    """Whether the system refused memory, or a card failed: torch says both as RuntimeErrors like others."""
    return is_out_of_memory(error) or isinstance(error, _OF_A_CARD) or str(error).startswith("CUDA ")
