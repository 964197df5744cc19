"""Is the process that wrote this still alive? Only answerable on its own machine, and only if both are named exactly."""

from __future__ import annotations

import os
import platform
import time
import uuid
from functools import lru_cache
from pathlib import Path

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TIME = Path("/proc/self/ns/time")


@lru_cache(maxsize=1)
def machine() -> str:
    """Names this machine, since it booted, and the container whose process numbers we see; not its host name: containers
    and laptops share those, and would take each other's processes for dead."""
    if _BOOT.exists():
        return f"{_BOOT.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    return f"{platform.node()}/{uuid.getnode():012x}"


@lru_cache(maxsize=1)
def boot() -> str | None:
    """Names the moment from which `uptime` counts: the boot, and the time namespace where there are such. The same in all
    containers of a machine, unless one has a time of its own. None where the system names no boot: seconds of before and
    after one could not be told apart."""
    if not _BOOT.exists():
        return None
    return f"{_BOOT.read_text().strip()}/{os.readlink(_TIME) if _TIME.is_symlink() else 'time'}"


def uptime() -> float:
    """Seconds since `boot`, the same for all processes that share it. Nobody can set them, as people and time servers set
    the clock. Time in which the machine slept counts, where the system says so."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def started() -> float:
    """When this process started. Tells it from a later one that gets the same number."""
    return _start_of(os.getpid())


def is_alive(process: int, start: float) -> bool:
    """Whether a process of this machine still runs: the very one that started then."""
    if not psutil.pid_exists(process):
        return False
    try:
        return _start_of(process) == start
    except (OSError, psutil.AccessDenied):
        return psutil.pid_exists(process)  # gone just now, or there and not ours to look at
    except psutil.NoSuchProcess:
        return False


def _start_of(process: int) -> float:
    """Seconds since the machine booted where the kernel says so, since 1970 elsewhere: dates jump when the clock is set.
    Infinite for a process that has ended and only waits for its parent to notice."""
    if not _BOOT.exists():
        return float(round(psutil.Process(process).create_time()))
    status = Path(f"/proc/{process}/stat").read_text()
    state, *fields = status.rpartition(")")[2].split()  # the name before it may hold anything
    return float("inf") if state in "ZX" else int(fields[18]) / os.sysconf("SC_CLK_TCK")
