"""The process that holds a stack on this machine: starts its parts, starts again what dies, ends all of it in order.

Started in the background by `infra.stack.up`, which reads from a pipe how far it is: one JSON object a line, {"say": …} and
at last {"up": true} or {"failed": …}.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from infra import server
from infra.process import machine, started
from infra.s3_server import S3ServerError
from infra.stack import files as stack_files
from infra.stack.files import ENDING, STARTING, UP, State
from infra.stack.guard import ENDS, FAREWELL, say
from infra.stack.members import DEPLOY, GUARD, MARK, OBJECTS, SERVER, WORKER, end_members, mark
from infra.stack.parts import (
    Nurse,
    Objects,
    Part,
    environment_of,
    open_log,
    python,
    settings_of,
    worker_command,
)
from infra.stack.types import ONLINE, SETTLED, Plan, StackError

SERVER_SECONDS = 300.0  # ten on a quiet machine
DEPLOY_SECONDS = 300.0
SETTLE_SECONDS = 90.0
WORKER_SECONDS = 180.0
REMIND = 5.0  # seconds between lines about what is waited for
LOOK = 0.5  # seconds between looks at what may have died
EXPECTED = (StackError, server.ServerError, S3ServerError, OSError)


class Stopped(BaseException):
    """We were told to end."""


class Supervisor:
    """One stack, from its start to its end.

    Args:
        tell: how far it is, for whoever waits for it.
    """

    def __init__(self, plan: Plan, tell: Callable[..., None]) -> None:
        self._plan, self._tell = plan, tell
        self._phase = STARTING
        self._objects = Objects(plan)
        self._nurses: list[Nurse] = []

    def run(self) -> int:
        """Start everything, look after it until told to end, end everything. 0 unless it did not come up."""
        failed: str | None = None
        with self._lock(), self._guard():
            try:
                signal.signal(signal.SIGTERM, _stop)
                self._write(STARTING)
                self._start()
                self._write(UP)
                say("everything is up")
                self._tell(up=True)
                while True:
                    time.sleep(LOOK)
                    for nurse in self._nurses:
                        nurse.look(say)
            except Stopped:
                say("told to end")
            except EXPECTED as error:
                failed = str(error)
            except BaseException:
                traceback.print_exc()
                failed = f"an error in our own code; it is in {self._plan.files.logs / 'stack.log'}"
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._end()
        if failed is not None:
            say(f"failed: {failed}")
            self._tell(failed=failed)
        return 0 if failed is None else 1

    def _start(self) -> None:
        plan = self._plan
        common = environment_of(plan, self._objects.server)
        of_server = {name: value for name, value in common.items() if name != "PREFECT_API_URL"}
        prefect = self._part("Prefect server", SERVER, python("prefect", "server", "start"), of_server)
        self._say(f"starting the S3 server ({self._objects.server.endpoint}) and the Prefect server ({plan.ui})")
        prefect.start()
        os.environ[MARK] = mark(OBJECTS, plan.name, plan.folder)[MARK]  # inherited by the S3 server
        self._objects.start()
        self._say("the S3 server stores and returns objects")
        self._wait("the Prefect server", lambda: server.answers(f"{plan.ui}/api"), SERVER_SECONDS, prefect)
        self._say("the Prefect server answers")
        self._run("making work pools and deployments", list(plan.deploy), common, DEPLOY_SECONDS)
        workers = plan.workers_of_pools()
        parts = [
            self._part(name, WORKER, worker_command(name, pool), {**common, "PREFECT_WORKER_NAME": name})
            for name, pool in workers.items()
        ]
        self._open_for(workers, parts, common)
        stack_files.write_settings(plan.files, settings_of(plan, self._objects.server))
        self._nurses = [Nurse(self._objects), Nurse(prefect), *(Nurse(part) for part in parts)]

    def _part(self, name: str, part: str, command: list[str], environment: dict[str, str]) -> Part:
        marked = {**environment, **mark(part, self._plan.name, self._plan.folder)}
        return Part(
            name, command, marked, self._plan.root, self._plan.files.logs / f"{name.replace(' ', '-').lower()}.log"
        )

    def _run(self, what: str, command: list[str], environment: dict[str, str], seconds: float) -> None:
        """Run a command to its end."""
        part = self._part("deploy", DEPLOY, command, environment)
        self._say(what)
        before = part.log.stat().st_size if part.log.exists() else 0
        part.start()
        self._wait(what, lambda: part.ended() is not None, seconds)
        if not str(part.ended()).endswith(" code 0"):
            raise StackError(f"{what} failed:\n{_last_lines(part.log, before)}\nall of it: {part.log}")

    def _open_for(self, workers: dict[str, str], parts: list[Part], environment: dict[str, str]) -> None:
        """Close what an earlier stack left, start the workers and wait until the server knows them."""
        plan = self._plan
        log = plan.files.logs / "settle.log"
        with open_log(log) as errors:
            before = log.stat().st_size
            settling = subprocess.Popen(
                python("infra.stack.handshake", json.dumps(workers)),
                env={**environment, **mark(DEPLOY, plan.name, plan.folder)},
                cwd=plan.root,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert settling.stdout is not None
        os.set_blocking(settling.stdout.fileno(), False)
        heard = b""

        def said(word: str) -> bool:
            nonlocal heard
            heard += settling.stdout.read() or b"" if settling.stdout else b""
            if word.encode() in heard:
                return True
            if settling.poll() not in (None, 0):
                raise StackError(f"{_last_lines(log, before)}\nall of it: {log}")
            return False

        self._wait("the work pools", lambda: said(SETTLED), SETTLE_SECONDS)
        closed = int(heard.split()[1])
        if closed:
            self._say(f"{closed} runs that were cut off when the stack ended last time are marked so in Prefect")
        self._say(f"starting {len(parts)} workers: {', '.join(workers)}")
        for part in parts:
            part.start()
        self._wait("the workers", lambda: said(ONLINE), WORKER_SECONDS, *parts)
        settling.wait(timeout=30)

    def _wait(self, what: str, there: Callable[[], bool], seconds: float, *parts: Part) -> None:
        """Wait for something that `parts` bring about, and say so.

        Raises:
            StackError: if one of them ends, or it takes too long.
        """
        began = reminded = time.monotonic()
        while not there():
            self._raise_if_ended(*parts)
            now = time.monotonic()
            logs = ", ".join(str(part.log) for part in parts) or str(self._plan.files.logs)
            if now - began > seconds:
                raise StackError(f"waited {seconds:.0f} s for {what}, in vain; see {logs}")
            if now - reminded >= REMIND:
                reminded = now
                self._say(f"waiting for {what} ({now - began:.0f} s, at most {seconds:.0f})")
            time.sleep(0.2)
        self._raise_if_ended(*parts)

    def _raise_if_ended(self, *parts: Part) -> None:
        for part in parts:
            if (how := part.ended()) is not None:
                raise StackError(f"{part.name}: {how} while it was starting; see {part.log}:\n{_last_lines(part.log)}")

    def _end(self) -> None:
        self._write(ENDING)
        left = end_members(self._plan.folder, say, stack=self._plan.name, parts=ENDS)
        self._objects.server.stop()  # ended already; this removes its sockets
        if left:
            say(f"cannot be ended: {left}")
            return
        stack_files.remove(self._plan.files)
        say("everything has ended")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One stack at a time in a folder. The system gives the lock back however we end."""
        self._plan.folder.mkdir(parents=True, exist_ok=True)
        with open(self._plan.files.lock, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(
                    f"another process holds {self._plan.files.lock}: a stack of this folder is being started or ended, or "
                    "runs in a container that we cannot look into"
                ) from None
            yield

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Somebody who ends the parts if this process is killed; told at last that there is nothing to do."""
        guard = subprocess.Popen(
            python("infra.stack.guard", str(self._plan.folder), self._plan.name),
            env={**os.environ, **mark(GUARD, self._plan.name, self._plan.folder)},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        yield
        assert guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # somebody killed it; nobody needs it now
            guard.stdin.write(FAREWELL)
            guard.stdin.close()
        guard.wait()

    def _write(self, phase: str) -> None:
        plan = self._plan
        endpoint, workers = self._objects.server.endpoint, plan.workers_of_pools()
        state = State(plan.name, phase, machine(), os.getpid(), started(), plan.ui, endpoint, plan.store, workers)
        stack_files.write_state(plan.files, state)

    def _say(self, text: str) -> None:
        say(text)
        self._tell(say=text)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _pass_over(number: int, frame: FrameType | None) -> None:
    """We are in the background: a terminal's signals are not meant for us."""


def _last_lines(log: Path, start: int = 0, most: int = 8) -> str:
    with open(log, "rb") as file:
        file.seek(max(start, log.stat().st_size - 4000))
        return "\n".join(f"    {line}" for line in file.read().decode(errors="replace").strip().splitlines()[-most:])


def main() -> int:
    """Hold the stack that is described in JSON on the command line; tell into the file number that follows."""
    fields: dict[str, Any] = json.loads(sys.argv[1])
    fields |= {"folder": Path(fields["folder"]), "root": Path(fields["root"]), "deploy": tuple(fields["deploy"])}
    pipe = os.fdopen(int(sys.argv[2]), "w")

    def tell(**content: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever waited for us waits no longer
            print(json.dumps(content), file=pipe, flush=True)

    signal.signal(signal.SIGTERM, _stop)
    # Not SIG_IGN: what we start would inherit that, and Prefect's workers end by SIGINT. A handler of ours it does not.
    signal.signal(signal.SIGINT, _pass_over)
    signal.signal(signal.SIGHUP, _pass_over)
    try:
        return Supervisor(Plan(**fields), tell).run()
    except Stopped:
        return 1
    except EXPECTED as error:
        say(f"failed: {error}")
        tell(failed=str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
