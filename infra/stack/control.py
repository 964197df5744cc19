"""Starting a stack, ending it, and whether it is there."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from infra import server
from infra.server import HOST
from infra.stack import files as stack_files
from infra.stack.files import STARTING, UP, State
from infra.stack.members import SUPERVISOR, WORKER, end_members, is_run, mark, members
from infra.stack.parts import open_log, python
from infra.stack.types import S3_PORT, Files, Plan, StackError

Say = Callable[[str], None]


def up(plan: Plan, say: Say) -> State:
    """Start a stack, unless it runs, and wait until everything in it answers.

    Raises:
        StackError: if something does not come up; then everything that was started has ended again. Also if another command
            is starting or ending this folder's stack; then that one is left alone.
    """
    with _alone(plan.files):
        return _up(plan, say)


def _up(plan: Plan, say: Say) -> State:
    files = plan.files
    state = stack_files.read_state(files)
    if state is not None and state.alive():
        if state.phase == UP:
            say("the stack runs already")
            return state
        raise _by_another(state.phase)
    _clear(files, say)
    for port, what, setting in (
        (plan.port, "Prefect server", "PREFECT_SERVER_API_PORT"),
        (plan.s3_port, "S3 server", S3_PORT),
    ):
        _refuse_taken(port, what, setting)
    with _supervisor(plan) as said:
        for line in said:
            if "say" in line:
                say(str(line["say"]))
            elif "failed" in line:
                raise StackError(f"the stack did not come up, and what was started has ended again: {line['failed']}")
            elif line.get("up"):
                found = stack_files.read_state(files)
                assert found is not None
                return found
    raise StackError(f"the stack's supervisor was killed while it started; see {files.logs / 'stack.log'}")


def down(folder: Path, say: Say) -> bool:
    """End whatever runs of the stack in `folder`, and wait until it is gone. Its data stay. Whether anything ran.

    Raises:
        StackError: if the system does not let go of a process.
    """
    files = Files(folder.absolute())
    ours = members(files.folder)
    runs = sum(member.part == WORKER and is_run(member.process) for member in ours)
    if runs:
        say(f"flow runs under way: {runs}; they are asked to end, and go on where they were when started again")
    return _clear(files, say)


def status(folder: Path) -> tuple[bool, list[str]]:
    """Whether a stack is up and answers, and what is to be said of it, by line."""
    files = Files(folder.absolute())
    state = stack_files.read_state(files)
    if state is None or not state.alive():
        ours = members(files.folder)
        rest = f"; {len(ours)} of its processes are left: make stack-down" if ours else ""
        return False, [f"the stack is not up{rest}"]
    host, _, port = state.endpoint.removeprefix("http://").partition(":")
    prefect, objects = server.answers(f"{state.ui}/api"), _open(host, int(port))
    workers = _workers(files, state)
    lines = [
        f"{state.phase}, held by process {state.process}",
        f"Prefect server   {state.ui}   {_word(prefect)}",
        f"S3 server        {state.endpoint}   {_word(objects)}",
        f"workers          {workers} of {len(state.workers)} run: {', '.join(state.workers)}",
    ]
    return state.phase == UP and prefect and objects and workers == len(state.workers), lines


@contextlib.contextmanager
def _alone(files: Files) -> Iterator[None]:
    """One start at a time in a folder. A supervisor that has just been started has written nothing yet, and another start
    would take it for what an earlier stack left, and end it. The system gives the lock back however we end."""
    files.folder.mkdir(parents=True, exist_ok=True)
    with open(files.starting, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _by_another(STARTING) from None
        yield


def _by_another(phase: str) -> StackError:
    return StackError(f"the stack is {phase} by another command; wait for that one, or end it: make stack-down")


def _clear(files: Files, say: Say) -> bool:
    """End every process of the folder's stack, whatever its files say."""
    ran = bool(members(files.folder))
    left = end_members(files.folder, say)
    if left:
        raise StackError(f"the system does not let go of the processes {left}; see what holds them")
    stack_files.remove(files)
    return ran


@contextlib.contextmanager
def _supervisor(plan: Plan) -> Iterator[Iterator[dict[str, object]]]:
    """Start it in the background; yields what it says. Left by an exception of ours, it is ended with all it has started."""
    described = {**dataclasses.asdict(plan), "folder": str(plan.folder), "root": str(plan.root)}
    # A person's own Prefect settings may name a server, a database or a password of another installation.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name.startswith("PREFECT_LOGGING_")
    }
    environment["PREFECT_HOME"] = str(plan.folder / "prefect")
    ours, theirs = os.pipe()
    with open_log(plan.files.logs / "stack.log") as log:
        process = subprocess.Popen(
            python("infra.stack.supervisor", json.dumps(described), str(theirs)),
            env={
                **environment,
                "PREFECT_SERVER_API_PORT": str(plan.port),
                **mark(SUPERVISOR, plan.name, plan.folder),
            },
            cwd=plan.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs,),
            start_new_session=True,
        )
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        try:
            yield (json.loads(line) for line in pipe)
        except StackError:
            process.wait(timeout=60)
            raise
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _refuse_taken(port: int, what: str, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server before may linger
        try:
            probe.bind((HOST, port))
        except OSError as error:
            by = " by another Prefect server (`make ui`, say)" if server.answers(f"http://{HOST}:{port}/api") else ""
            raise StackError(
                f"port {port}, on which the {what} would listen, cannot be had: {error.strerror}{by}. End what has it, or "
                f"set {setting} to a free port"
            ) from error


def _workers(files: Files, state: State) -> int:
    """Workers that run, without the flow runs that they have started."""
    ours = [m.process for m in members(files.folder, state.name) if m.part == WORKER]
    return sum(" worker start " in f" {' '.join(process.cmdline())} " for process in ours)


def _open(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


def _word(answers: bool) -> str:
    return "answers" if answers else "does not answer"
