"""When this machine's memory does not suffice for a coalition: how it is recognised, and what people are told.

A card's is another matter: there batches are taken in parts (tasks.model.gradient, tasks.model.sample).
"""

from __future__ import annotations


class OutOfMemory(RuntimeError):
    """An evaluation could not get the memory that it asked for. Others may have had it just then: it is worth another try,
    best in a fresh process."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system refused memory: Python's own error, numpy's, or torch's, which is known by its words."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def advice(who: str, reason: str) -> str:
    """What to do. None of it changes a number."""
    return (
        f"{who} could not get the memory it asked for in the middle of a coalition ({reason}). Fewer execution.workers, a "
        "smaller sampling.batch_size and execution.gradient_checkpointing need less, as do fewer flow runs at a time on one "
        "machine; they change no number"
    )
