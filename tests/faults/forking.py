"""The process that forks runs: `python -m tests.faults.forking`, told by tests.faults.running on standard input.

Each line asks for a run; the answer is its process number. Between this process and the run stands another that waits for
it and writes down how it ended, so that a test may kill the run and still learn of it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

# Steps that a run marks when it begins them: names in flows.attribute, and the last in tasks.publish.task.
MARKED = (
    "partition_data", "last_statement", "choose_epoch", "prepare_statistics", "train_reference", "prune_reference",
    "plan_evaluations", "evaluate_coalitions", "estimate_credits", "sample_reference", "publish_statement",
)  # fmt: skip
STORING = "store_statement"


def main() -> None:
    import tasks.evaluate.evaluator
    import tasks.publish.task  # noqa: F401  (all of them: whatever is imported now need not be imported again)

    assert threading.active_count() == 1, "a fork would copy threads half-alive"
    for line in sys.stdin:
        asked = json.loads(line)
        reading, writing = os.pipe()
        if os.fork() == 0:
            _stand_between(asked, writing)
        os.close(writing)
        print(int(os.read(reading, 32)), flush=True)
        os.close(reading)


def _stand_between(asked: dict[str, Any], writing: int) -> None:
    """Fork the run, say its number, wait for it, write its end down."""
    os.setsid()
    _end_with_parent()
    process = os.fork()
    if process == 0:
        _end_with_parent()
        os.close(writing)
        code = 70
        try:
            code = _run(asked)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.write(writing, str(process).encode())
    os.close(writing)
    _, status = os.waitpid(process, 0)
    hidden = Path(asked["end"] + ".part")
    hidden.write_text(str(os.waitstatus_to_exitcode(status)))
    hidden.rename(asked["end"])
    os._exit(0)


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, so that a test which is interrupted leaves no run behind."""
    set_parent_death_signal = 1  # prctl(2)
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _run(asked: dict[str, Any]) -> int:
    """What `python -m flows.run` does, its steps marked."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, theirs)
    os.environ.update(asked["environment"])
    _mark_steps(Path(asked["marks"]))
    if asked["prelude"]:
        module, _, function = asked["prelude"].partition(":")
        getattr(importlib.import_module(module), function)()
    from flows.command import run
    from flows.run import _attribute
    from tasks.study import Study

    study = Study.model_validate(asked["study"])
    return run(lambda: _attribute(study))


def _mark_steps(marks: Path) -> None:
    import flows.attribute
    import tasks.publish.task

    def marked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with open(marks, "a") as file:
                file.write(f"{name}\n")
            return function(*arguments, **named)

        return call

    for name in MARKED:
        setattr(flows.attribute, name, marked(name, getattr(flows.attribute, name)))
    setattr(tasks.publish.task, STORING, marked(STORING, getattr(tasks.publish.task, STORING)))


if __name__ == "__main__":
    main()
