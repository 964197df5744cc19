"""Progress that a person can follow: how far, how long it took, how long it will take; never silent, never a flood."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Say = Callable[[str], None]


def silent(said: str) -> None:
    """For a caller who wants nothing said."""


class Ticker:
    """Says where a long loop is, at most every `every` seconds, with the time left; and its end, unless `end` is False:
    a loop that is over before there was anything to say is then silent."""

    def __init__(self, say: Say, what: str, every: float = 5.0, *, end: bool = True) -> None:
        self._say, self._what, self._every, self._end = say, what, every, end
        self._started = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, value: float | None = None) -> None:
        """`done` of `total` is finished; `value` is shown beside it (a loss, say)."""
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1  # a resumed loop does not start at zero
        if now - self._said < self._every and not (self._end and done == total):
            return
        self._said = now
        seconds = now - self._started
        left = seconds / max(1, done - self._first) * (total - done)
        shown = "" if value is None else f", loss {value:.4f}"
        self._say(f"{self._what}: {done} of {total} ({done / total:.0%}){shown}, {clock(left)} left")


def clock(seconds: float) -> str:
    """A duration for people: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Stopwatch:
    """Calls functions and remembers how long each took, by the name of its step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(*args, **kwargs)`, timed as `step`."""
        started = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started
