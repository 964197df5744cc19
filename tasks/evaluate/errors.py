"""What an error in an evaluation means: which are worth another try, and which are no evaluation's fault at all."""

from __future__ import annotations

import traceback

from infra.ledger import LedgerConflict
from infra.store_types import NOBODYS_FAULT, DiskFull, StoreRefused, StoreUnavailable, full_besides_the_store, is_full
from tasks.evaluate.memory import OutOfMemory, advice
from tasks.images_gone import ImagesGone
from tasks.model.memory import is_out_of_memory


class WorkerDied(RuntimeError):
    """A worker process ended, mostly in the middle of a coalition: killed, out of memory, or crashed."""


class WorkerError(RuntimeError):
    """An evaluation raised in its worker; the message holds the worker's traceback."""


class WorkerUnavailable(WorkerError):
    """The same, by an error of the system (a disk that is away, say), which may be better next time."""


# What no coalition is to blame for, and would be so for every other: the run ends.
ENDS_THE_RUN = (*NOBODYS_FAULT, ImagesGone)

# What a worker process tells its parent, and what is raised there. An error itself is not sent: it would be unpickled.
TOLD: dict[str, type[Exception]] = {
    "full": DiskFull,
    "refused": StoreRefused,
    "away": StoreUnavailable,
    "gone": ImagesGone,
    "memory": OutOfMemory,
    "unavailable": WorkerUnavailable,
    "error": WorkerError,
}


def understood(error: Exception, who: str) -> Exception:
    """The error that is meant: itself, unless the system's words say that there was no memory, or no room on a disk.

    Args:
        who: had the error, for people.
    """
    if isinstance(error, ENDS_THE_RUN):
        return error
    if is_out_of_memory(error):
        return OutOfMemory(advice(who, f"{type(error).__name__}: {error}"))
    if is_full(error):
        return full_besides_the_store(error)
    return error


def told(error: Exception, who: str) -> tuple[str, str]:
    """The kind of error, one of TOLD, and what the parent is told of it."""
    meant = understood(error, who)
    for kind in ("full", "refused", "away", "gone", "memory"):
        if isinstance(meant, TOLD[kind]):
            return kind, str(meant)
    kind = "unavailable" if isinstance(error, OSError) else "error"
    return kind, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"


def may_pass(error: Exception, *, elsewhere: bool = False) -> bool:
    """Whether an evaluation that raised this is worth another try. A dead worker or a file that is away may be better next
    time; an error in the code will not. A store that stays away, lets nobody in, is full, or has no images any more would be
    so for every evaluation, and each try could train again: the run ends.

    Args:
        elsewhere: whoever sent the evaluation sends it to another process next, which has memory of its own.
    """
    if isinstance(error, ENDS_THE_RUN):
        return False
    if isinstance(error, OutOfMemory | MemoryError):
        return not elsewhere
    # A conflict: somebody else made it at the same time.
    return isinstance(error, WorkerDied | WorkerUnavailable | LedgerConflict | OSError)
