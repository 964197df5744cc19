"""The soak's own stack: its folder, its ports, and which of its processes plays which part."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from infra import stack
from infra.ports import free_ports
from infra.stack.files import read_settings
from infra.stack.members import OBJECTS, SERVER, WORKER, Member, is_run, members
from infra.stack.types import Files, Plan
from tests.soak import journal

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
RUN = "PREFECT__FLOW_RUN_ID"  # environment of a flow run's process


class World:
    """A stack in `folder`, and everything the soak keeps beside it.

    Args:
        say: told what happens, for people.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder.absolute(), say
        self.stack, self.report = self.folder / "stack", self.folder / "report"
        self.scratch = self.folder / "tmp"  # of every process of the stack, so that it is seen what they leave
        self.journal = self.folder / "journal.jsonl"
        self.plain_data, self.uploads = self.folder / "plain", self.folder / "uploads"
        self.files = Files(self.stack)
        for each in (self.stack, self.report, self.scratch):
            each.mkdir(parents=True, exist_ok=True)
        self._plan: Plan | None = None

    def up(self) -> None:
        """Start the stack, and point this process at it. Before Prefect is imported, which reads its settings once.

        Raises:
            StackError: if it does not come up.
        """
        os.environ.update({journal.FILE: str(self.journal), "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1"})
        port, s3_port = free_ports(2)
        deploy = (sys.executable, "-m", "tests.soak.deploy", str(WORKERS))
        self._plan = Plan(self.stack, ROOT, port, s3_port, WORKERS, deploy)
        stack.up(self._plan, self.say)
        os.environ.update(read_settings(self.files))
        os.environ["PREFECT_SERVER_API_PORT"] = str(port)

    def down(self) -> None:
        """End the stack in order."""
        stack.down(self.stack, self.say)

    def members(self) -> list[Member]:
        """Its processes."""
        return members(self.stack)

    def part(self, part: str) -> list[psutil.Process]:
        """Processes of a part; of workers, without the flow runs that they have started."""
        found = [member.process for member in self.members() if member.part == part]
        return sorted(
            (each for each in found if part != WORKER or _is_worker(each)), key=lambda each: each.create_time()
        )

    def runs(self) -> dict[str, psutil.Process]:
        """Id of each flow run that has a process here; the one that runs the flow, if it has got so far."""
        found: dict[str, psutil.Process] = {}
        for member in self.members():
            try:
                run = member.process.environ().get(RUN)
            except psutil.Error:
                continue
            if run and member.part == WORKER and (run not in found or is_run(member.process)):
                found[run] = member.process
        return found

    def strangers(self) -> list[str]:
        """Whatever process of this machine knows our folder, once the stack has ended: found without its own marks."""
        left = []
        for process in psutil.process_iter():
            if process.pid == os.getpid():
                continue
            try:
                known = [*process.cmdline(), *process.environ().values()]
                if any(str(self.stack) in text for text in known) and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(f"{process.pid}: {' '.join(process.cmdline())[:160]}")
            except (psutil.Error, OSError):
                continue
        return left

    def locks(self) -> list[str]:
        """Locks of the stack's folder that somebody still holds, once it has ended. Their files stay, that is no harm."""
        held = []
        for path in (self.files.lock, self.files.starting):
            with open(path, "ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held.append(path.name)
        return held

    def litter(self) -> list[str]:
        """What lies in the folder for temporary files."""
        return sorted(str(path.relative_to(self.scratch)) for path in self.scratch.iterdir())

    def clear(self) -> None:
        """Remove all but the report."""
        for path in self.folder.iterdir():
            if path != self.report:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def part_names() -> dict[str, str]:
    """Part of the stack by the name that faults have for it."""
    return {"S3 server": OBJECTS, "Prefect server": SERVER, "worker": WORKER}


def _is_worker(process: psutil.Process) -> bool:
    try:
        return " worker start " in f" {' '.join(process.cmdline())} "
    except psutil.Error:
        return False
