"""What made a result: versions, machine and time. Recorded beside results, never part of their identity."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import UTC, datetime, timedelta
from functools import lru_cache

PACKAGES = ("torch", "diffusers", "torch-pruning", "numpy", "scipy", "prefect", "clean-fid")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def provenance(device: str) -> dict[str, str]:
    """Versions, host and device, for a ledger record."""
    return {**versions(), "host": platform.node(), "device": device}


def now(after: datetime | None = None) -> str:
    """The present time, ISO 8601, UTC, to the second; a second later than `after` if the clock says that this is still to
    come: clocks are set back, and what is told by date must keep its order."""
    present = datetime.now(UTC)
    if after is not None:
        present = max(present, after + timedelta(seconds=1))
    return present.astimezone(UTC).isoformat(timespec="seconds")
