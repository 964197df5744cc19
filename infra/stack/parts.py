"""The parts of a stack: processes that are started again when they die, with what they find in their environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import psutil

from infra import server
from infra.job_templates import CPU_POOL
from infra.s3_server import S3Server, S3ServerError
from infra.stack.members import OBJECTS, members
from infra.stack.types import BUCKET, Plan

Say = Callable[[str], None]

FULL_LOG = 20 * 2**20  # bytes; then the log before it is forgotten
QUIET = 60.0  # seconds after which earlier deaths no longer count
LONGEST_PAUSE = 60.0
# A person waits for a local stack, and its server has nothing else to do.
_PROMPT = {"PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_WORKER_HEARTBEAT_SECONDS": "10"}


def environment_of(plan: Plan, objects: S3Server) -> dict[str, str]:
    """What flows and workers of a stack find: its Prefect server, its store, and nothing of a person's own for either."""
    inherited = {name: value for name, value in server.environment().items() if not name.startswith("AWS_")}
    return {
        **_PROMPT,
        "OMP_NUM_THREADS": "1",  # one process a core beats one with a thread on each: tasks.model.threads
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **inherited,
        **settings_of(plan, objects),
    }


def settings_of(plan: Plan, objects: S3Server) -> dict[str, str]:
    """What has to be set to use a stack from outside, and nothing else."""
    found = server.environment()
    return {
        "PREFECT_API_URL": f"{plan.ui}/api",
        "PREFECT_HOME": found["PREFECT_HOME"],
        "CREDIT_STORE": plan.store,
        **objects.environment(),
    }


def python(*arguments: str) -> list[str]:
    """A command that runs a module under this very Python."""
    return [sys.executable, "-m", *arguments]


def worker_command(name: str, pool: str) -> list[str]:
    """A process worker. Drivers only wait, so as many as are asked for run; evaluations go one at a time."""
    limit = () if pool == CPU_POOL else ("--limit", "1")
    start = ("--no-prompt", "worker", "start", "--name", name, "--pool", pool, "--type", "process")
    return python("prefect", *start, "--install-policy", "never", "--no-create-pool-if-not-found", *limit)


class Watched(Protocol):
    """Something that is started, looked after, and of which it is known whether it has ended."""

    name: str

    def start(self) -> None:
        """Start it."""
        ...

    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        ...


class Part:
    """A process, in a session of its own, so that Ctrl-C and a closed terminal do not reach it."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], root: Path, log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._environment, self._root = command, dict(environment), root
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, whether or not it ran before."""
        with open_log(self.log) as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self) -> str | None:
        """The process's exit code, in words."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"process {self._process.pid} ended with code {self._process.returncode}"


class Objects:
    """The S3 server as a part. Started again, it has the same address and credentials."""

    name = "S3 server"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.log = plan.files.logs / "s3-server.log"
        self.server = S3Server(plan.files.objects, port=plan.s3_port, bucket=BUCKET, log=self.log)
        self._process: psutil.Process | None = None

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            S3ServerError: if it does not.
        """
        open_log(self.log).close()
        self.server.stop()  # whatever is left of one that died
        self.server.start()
        ours = [each for each in members(self._plan.folder, self._plan.name) if each.part == OBJECTS]
        if not ours:
            raise S3ServerError(f"the S3 server ended right after it had started; see {self.log}")
        self._process = ours[0].process

    def ended(self) -> str | None:
        """Which process is gone."""
        if self._process is None:
            return None
        try:
            if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            pass
        return f"process {self._process.pid} ended"


class Nurse:
    """Starts a part again when it has ended: at once the first time, later and later if it keeps ending."""

    def __init__(self, part: Watched) -> None:
        self.part = part
        self._ends: list[float] = []
        self._again: float | None = None

    def look(self, say: Say) -> None:
        """Notice an end; start again when the time has come."""
        now = time.monotonic()
        how = self.part.ended()
        if how is None:
            return
        if self._again is None:
            self._ends = [end for end in self._ends if now - end < QUIET + LONGEST_PAUSE] + [now]
            pause = 0.0 if len(self._ends) == 1 else min(LONGEST_PAUSE, 2.0 ** (len(self._ends) - 1))
            self._again = now + pause
            say(f"{self.part.name}: {how}; it is started again" + (f" in {pause:.0f} s" if pause else ""))
        if now >= self._again:
            self._again = None
            try:
                self.part.start()
            except (S3ServerError, OSError) as error:
                say(f"{self.part.name}: {error}")


def open_log(path: Path) -> BinaryIO:
    """A log to append to. One that has grown large becomes `<name>.before`, in place of the one that was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > FULL_LOG:
        os.replace(path, path.with_name(f"{path.name}.before"))
    return open(path, "ab")
