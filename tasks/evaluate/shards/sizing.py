"""How many evaluations go into the next shard.

A long shard loses more when its worker dies, and leaves the others idle at the end; a short one spends its time on starting.
So it is as long as the study says, in seconds that were measured, and towards the end the rest is shared out among the
places, but never in pieces so small that starting would take more than 5 % of them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

STARTING_SHARE = 0.05  # of a shard, at most, where the study's own length of a shard allows it
REMEMBERED = 32  # shards whose measures count


def shard_size(waiting: int, places: int, each: float | None, starting: float, target: float) -> int:
    """How many of `waiting` evaluations to send now.

    Args:
        places: shards that can go on at a time.
        each: seconds of one evaluation; None if none was measured yet, then one is sent to find out.
        starting: seconds from a worker's taking a shard to its first evaluation.
        target: seconds that a shard should take.
    """
    if each is None:
        return min(1, waiting)
    whole = max(1, round(target / max(each, 1e-9)))
    fair = math.ceil(waiting / places)
    worth_starting = math.ceil(starting * (1 / STARTING_SHARE - 1) / max(each, 1e-9))
    return min(waiting, whole, max(fair, worth_starting, 1))


@dataclass
class Pace:
    """What was measured so far, in seconds; the latest shards count."""

    target: float
    each: float | None = None  # of one evaluation, before any shard came back
    _working: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _starting: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note(self, working: float, evaluations: int, starting: float | None) -> None:
        """A shard came back: seconds of its evaluations together, and what it took to start."""
        if evaluations:
            self._working.append((working, evaluations))
            self.each = sum(seconds for seconds, _ in self._working) / sum(count for _, count in self._working)
        if starting is not None:
            self._starting.append(starting)

    @property
    def starting(self) -> float:
        """Seconds that a shard takes to start; 0 as long as none was measured."""
        return median(self._starting) if self._starting else 0.0

    def size(self, waiting: int, places: int) -> int:
        """See `shard_size`."""
        return shard_size(waiting, places, self.each, self.starting, self.target)

    def remark(self) -> str | None:
        """What to tell people where shards as short as the study wants them spend too much on starting."""
        least = self.starting / STARTING_SHARE
        if least <= self.target:
            return None
        return (
            f"a shard takes {self.starting:.0f} s to start, {self.starting / (self.starting + self.target):.0%} of one that "
            f"works {self.target / 60:.3g} min; execution.shard_minutes of {math.ceil(least / 6) / 10:g} or more keeps that "
            f"under {STARTING_SHARE:.0%}"
        )
