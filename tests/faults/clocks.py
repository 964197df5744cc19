"""A clock that a test sets: in this process, or, as a prelude, in a run's; there by what stands in the file CLOCK.

And a gate that holds a run in the middle of its evaluations, so that nothing depends on how fast the machine is.
"""

from __future__ import annotations

import datetime as calendar
import importlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import flows.attribute
import infra.provenance
from tasks.evaluate.evaluator import Evaluator, Say
from tasks.evaluate.jobs import Job, Outcome

real = time.time


def set_by(ahead: Callable[[], float]) -> type[calendar.datetime]:
    """Let `time.time`, and the dates that runs write, be ahead by so many seconds."""
    time.time = lambda: real() + ahead()

    class Shifted(calendar.datetime):
        @classmethod
        def now(cls, tz: calendar.tzinfo | None = None) -> Shifted:
            return cls.fromtimestamp(time.time(), tz)

    for module in (flows.attribute, infra.provenance):
        setattr(module, "datetime", Shifted)  # noqa: B010 (to mypy a class is no attribute to be set)
    return Shifted


def elsewhere() -> str:
    """What passes for another machine's `infra.process.machine` and `boot`."""
    return "another boot/another container"


READERS = ("infra.lease", "infra.holder")  # modules that ask which machine this is


def tell(file: Path, number: float) -> None:
    """Write what a prelude reads, so that nobody ever reads half of it."""
    hidden = file.with_suffix(".new")
    hidden.write_text(str(number))
    hidden.rename(file)


def set_by_file() -> None:
    """A run's prelude: seconds ahead are what stands in the file $CLOCK, whenever it is asked. Held at the gate, if there
    is one."""
    set_by(lambda: _number("CLOCK"))
    if "GATE" in os.environ:
        held_at_gate()


def set_by_file_elsewhere() -> None:
    """The same, on what passes for another machine."""
    set_by_file()
    for name in READERS:
        module = importlib.import_module(name)
        module.machine = module.boot = elsewhere  # type: ignore[attr-defined]


def held_at_gate() -> None:
    """A run's prelude, for one that evaluates in its own process: it may begin as many evaluations as stand in the file
    $GATE, and waits for more before the next. So it is in their middle for as long as the test likes."""
    evaluate, begun = Evaluator.evaluate, itertools.count()

    def held(self: Evaluator, job: Job, say: Say) -> Outcome:
        number = next(begun)
        while number >= _number("GATE"):
            time.sleep(0.01)
        return evaluate(self, job, say)

    Evaluator.evaluate = held  # type: ignore[method-assign]


def _number(variable: str) -> float:
    return float(Path(os.environ[variable]).read_text())
