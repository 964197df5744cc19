"""What everybody who sends work to a work pool may name, without importing Prefect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from infra.digest import sha256

Say = Callable[[str], None]  # told what people should know
T = TypeVar("T")


class Patiently(Protocol):
    """Gives what a question gives, to a server that may be away; infra.work_pool's notes when it was."""

    def __call__(self, call: Callable[[], T]) -> T: ...


class WorkPoolError(RuntimeError):
    """Work cannot be sent to a work pool, or what was sent there does not get done."""


class WorkUnderWay(WorkPoolError):
    """Work that was sent to a work pool is not over, and what was asked for must not happen beside it."""


def store_tag(url: str) -> str:
    """The tag of every run that is sent to a work pool and works on the store of that URL (`Store.url`)."""
    return f"store:{sha256(url.encode())[:12]}"


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    said: its last state, for people.
    starting: seconds from a worker's taking it to its first line of code; None if it did not get there.
    died: whether it ended in the middle of its work, killed or hanging; not if it refused, was cancelled, or never began.
    outage: whether it never began because the Prefect server was away: that says nothing of the next one.
    """

    completed: bool
    said: str
    starting: float | None
    died: bool = False
    outage: bool = False
