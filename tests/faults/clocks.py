"""A clock that a test sets: in this process, or, as a prelude, in a run's; there by what stands in the file CLOCK."""

from __future__ import annotations

import datetime as calendar
import os
import time
from collections.abc import Callable

import flows.attribute
import infra.lease
import infra.provenance

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


def set_by_file() -> None:
    """A run's prelude: seconds ahead are what stands in the file $CLOCK, whenever it is asked."""

    def ahead() -> float:
        with open(os.environ["CLOCK"]) as file:
            return float(file.read() or 0)

    set_by(ahead)


def set_by_file_elsewhere() -> None:
    """The same, on what passes for another machine."""
    set_by_file()
    setattr(infra.lease, "machine", lambda: "another boot/another container")  # noqa: B010 (mypy knows its cache)
