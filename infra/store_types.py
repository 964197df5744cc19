"""What a store tells: an object's entry in a listing, and errors that say what to do. To be imported from `infra.store`."""

from __future__ import annotations

from dataclasses import dataclass


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
