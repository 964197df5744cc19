"""The files in which a stack says what runs and how to use it. The supervisor writes them, only this user reads them."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.process import is_alive, machine
from infra.stack.types import Files, StackError

STARTING, UP, ENDING = "starting", "up", "ending"


@dataclass(frozen=True)
class State:
    """What a supervisor says of its stack.

    name: of this start; phase: starting, up or ending; machine, process, start: the supervisor, so that nobody takes
    another process for it; the rest is for people.
    """

    name: str
    phase: str
    machine: str
    process: int
    start: float
    ui: str
    endpoint: str
    store: str
    workers: dict[str, str]

    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return self.machine == machine() and is_alive(self.process, self.start)


def write_state(files: Files, state: State) -> None:
    """Say what runs."""
    _write(files.state, json.dumps(asdict(state), indent=1) + "\n")


def read_state(files: Files) -> State | None:
    """What was said last; None if nothing was, or by a program that we are not."""
    try:
        return State(**json.loads(files.state.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_settings(files: Files, settings: Mapping[str, str]) -> None:
    """Write what a process needs to use the stack, for `set -a; . .credit/stack.env; set +a`."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(settings.items())]
    _write(
        files.settings, "# Of the stack that `make stack` started; removed when it ends.\n" + "\n".join(lines) + "\n"
    )


def read_settings(files: Files) -> dict[str, str]:
    """What `write_settings` wrote.

    Raises:
        StackError: if there is nothing: the stack is not up.
    """
    try:
        lines = files.settings.read_text().splitlines()
    except FileNotFoundError as error:
        raise StackError(f"the stack is not up: there is no {files.settings}; start it with `make stack`") from error
    assignments = [shlex.split(line, comments=True) for line in lines]
    return dict(words[0].split("=", 1) for words in assignments if words)


def remove(files: Files) -> None:
    """Nothing runs any more."""
    for path in (files.settings, files.state):
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and readable by this user only from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
