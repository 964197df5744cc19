"""What a store tells: an object's entry in a listing, and errors that say what to do. To be imported from `infra.store`."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import dataclass

# What the system says when a disk, or somebody's part of it, has no room.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAKE_ROOM = "set TMPDIR to a folder with more, and start the same command again: what was finished is kept"


@dataclass(frozen=True)
class Entry:
    """One object in a listing."""

    size: int  # bytes
    version: str | None  # changes when the content does; None where a store does not say
    written: float | None  # seconds since 1970, by the clock of whoever keeps it; None where a store does not say


class StoreError(RuntimeError):
    """The store cannot be used, or holds something that is not what its name says."""


class StoreRefused(StoreError, PermissionError):
    """The store does not let us: credentials, rights, or a bucket that does not exist. A setting is wrong or has expired."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store does not answer, or says that it cannot just now. It may be back in a moment."""


class DiskFull(StoreError, OSError):
    """No room is left on the disk of the store, or of what is made on its way there. People have to make some."""


# No object and no evaluation is at fault: it would be the same for every other one, so nothing goes on before it is mended.
NOBODYS_FAULT = (DiskFull, StoreRefused, StoreUnavailable)


def is_full(error: BaseException) -> bool:
    """Whether the system said that a disk has no room left; safetensors says it in its own words."""
    return getattr(error, "errno", None) in FULL or "StorageFull" in str(error)


def full_besides_the_store(error: BaseException) -> DiskFull:
    """The error for people where something else than the store was written to."""
    return DiskFull(
        f"a disk that is written to besides the store is full ({type(error).__name__}: {error}): mostly that of temporary "
        f"files, {tempfile.gettempdir()}. Make room on it, or {_MAKE_ROOM}"
    )


def full_of_temporary_files(error: BaseException) -> DiskFull:
    """The error for people where it was a folder for temporary files."""
    return DiskFull(
        f"the disk of temporary files, {tempfile.gettempdir()}, is full ({error}). Make room on it, or {_MAKE_ROOM}"
    )


def no_room_to_fetch(where: str, size: int, room: int, folder: str) -> DiskFull:
    """The error where an object is to be fetched to a disk without room for it. size, room: bytes."""
    return DiskFull(
        f"{where} has {size:,} bytes, and there is room for {room:,} at {folder}. Make room on that disk, or {_MAKE_ROOM}"
    )
