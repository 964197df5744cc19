"""When this machine's memory does not suffice for a coalition: what people are told. How that is recognised:
tasks.model.memory."""

from __future__ import annotations


class OutOfMemory(RuntimeError):
    """An evaluation could not get the memory that it asked for. Others may have had it just then: it is worth another try,
    best in a fresh process."""


def advice(who: str, reason: str) -> str:
    """What to do. None of it changes a number."""
    return (
        f"{who} could not get the memory it asked for in the middle of a coalition ({reason}). Fewer execution.workers, a "
        "smaller sampling.batch_size and execution.gradient_checkpointing need less, as do fewer flow runs at a time on one "
        "machine; they change no number"
    )
