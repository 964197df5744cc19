"""Which processes of this machine belong to a stack, and how they are ended in order.

Every process of a stack, and whatever it starts, has CREDIT_STACK in its environment: its part, the name of this start, and
the stack's folder. So they are found whoever their parent is by now, also when every file about them is lost, and no process
is ever taken for one of ours because it got the number of one that is gone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

Say = Callable[[str], None]

MARK = "CREDIT_STACK"
SUPERVISOR, GUARD, WORKER, DEPLOY, SERVER, OBJECTS = "supervisor", "guard", "worker", "deploy", "server", "objects"
RUN_SECONDS = 25.0  # for a flow run to give its lease back and to report
# Who holds the others up first, then who writes, and last those who are written to. For each: what people call them, seconds
# for the first process to end what it began, and then for those it left.
_ORDER: tuple[tuple[str, str, float, float], ...] = (
    (SUPERVISOR, "supervisor", 150, 0),
    (GUARD, "guard", 5, 0),
    (DEPLOY, "deployment", 5, 5),
    (WORKER, "workers", 20, 10),
    (SERVER, "Prefect server", 20, 5),
    (OBJECTS, "S3 server", 45, 5),
)
PARTS = tuple(row[0] for row in _ORDER)


@dataclass(frozen=True)
class Member:
    """A process of a stack: which part it is of, and of which start."""

    process: psutil.Process
    part: str
    stack: str


def mark(part: str, stack: str, folder: Path) -> dict[str, str]:
    """What a process of this part has in its environment."""
    return {MARK: f"{part} {stack} {folder}"}


def members(folder: Path, stack: str | None = None) -> list[Member]:
    """All processes of the stack in `folder`, except this one; of one start only, if named."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            part, name, place = process.environ().get(MARK, "").split(" ", 2)
        except (psutil.Error, OSError, ValueError):
            continue  # gone, another user's, or none of ours
        if place == str(folder) and stack in (None, name):
            found.append(Member(process, part, name))
    return found


def end_members(folder: Path, say: Say, *, stack: str | None = None, parts: Collection[str] = PARTS) -> list[int]:
    """End the processes of a stack, part by part, and wait until they are gone. What does not end when asked to is killed.

    Returns:
        The numbers of those that cannot be killed; empty, unless the system holds them.
    """
    for part, people, patience, rest in _ORDER:
        if part not in parts:
            continue
        ours = _of(folder, stack, part)
        if not ours:
            continue
        say(f"ending: {people} ({_numbers(ours)})")
        if part == WORKER:
            _end_runs(folder, stack, say)
        heads = _heads(_of(folder, stack, part))
        _ask(heads)
        _wait(heads, patience)
        # Of those that its first process left behind, and of what they have started meanwhile.
        left = _left(ours, folder, stack, part)
        if left and rest:
            _ask(left)
            _wait(left, rest)
            left = _left(ours, folder, stack, part)
        if left:
            say(f"{people} did not end in time and {'was' if len(left) == 1 else 'were'} killed ({_numbers(left)})")
        for _ in range(5):  # one may have started another at that very moment
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            _wait(left, 5)
            left = _left(ours, folder, stack, part)
            if not left:
                break
    return [member.process.pid for member in members(folder, stack) if member.part in parts]


def is_run(process: psutil.Process) -> bool:
    """Whether this is a flow run that a worker has started."""
    try:
        return "prefect.engine" in process.cmdline()
    except psutil.Error:
        return False


def _end_runs(folder: Path, stack: str | None, say: Say) -> None:
    """Ask flow runs to end while their workers live. Asked so, a run gives its lease back and reports itself as crashed; a
    worker that is ended kills it, and Prefect would believe that it goes on."""
    for _ in range(3):  # their worker may take up another one
        runs = [process for process in _of(folder, stack, WORKER) if is_run(process)]
        if not runs:
            return
        say(f"ending: flow runs ({_numbers(runs)})")
        _ask(runs)
        _wait(runs, RUN_SECONDS)


def _of(folder: Path, stack: str | None, part: str) -> list[psutil.Process]:
    return [member.process for member in members(folder, stack) if member.part == part]


def _left(known: list[psutil.Process], folder: Path, stack: str | None, part: str) -> list[psutil.Process]:
    """What still runs of a part. A process loses its environment a moment before its sockets, so those that were known are
    asked themselves."""
    return [process for process in {*known, *_of(folder, stack, part)} if _runs(process)]


def _heads(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that none of the others started: they are asked first, and end what they have started themselves."""
    numbers = {process.pid for process in processes}
    heads = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in numbers:
                heads.append(process)
    return heads


def _ask(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until they have ended. One that only waits for its parent to notice has: not every container has a process that
    does that for orphans."""
    deadline = time.monotonic() + seconds
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _numbers(processes: list[psutil.Process]) -> str:
    numbers = sorted(process.pid for process in processes)
    return f"process{'es' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
