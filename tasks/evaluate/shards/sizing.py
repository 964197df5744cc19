"""How many evaluations go into the next shard, and how long one may take.

A long shard loses more when its worker dies, and leaves the others idle at the end; a short one spends its time on starting.
So it is as long as the study says, in seconds that were measured, and towards the end the rest is shared out among the
places, but never in pieces so small that starting would take more than 5 % of them.

Evaluations are of two kinds. Those that train take far longer than those that only draw or score: the empty coalition, a
further property on kept weights. So each kind has its own measures, and as long as one waits that must train, what trained
nothing does not set the pace.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, median

STARTING_SHARE = 0.05  # of a shard, at most, where the study's own length of a shard allows it
REMEMBERED = 128  # evaluations of a kind, and shards, whose measures count
HIGH = 0.9  # this share of them took no longer than what the next shards are sized by
SEVERAL = 8  # evaluations of a kind after which their measures are trusted; before, a shard has twice as many at most


def shard_size(
    waiting: int, places: int, each: float | None, starting: float, target: float, known: int = SEVERAL
) -> int:
    """How many of `waiting` evaluations to send now.

    Args:
        places: shards that can go on at a time.
        each: seconds of one evaluation; None if none was measured yet, then one is sent to find out.
        starting: seconds from a worker's taking a shard to its first evaluation.
        target: seconds that a shard should take.
        known: evaluations that were measured.
    """
    if each is None:
        return min(1, waiting)
    whole = max(1, round(target / max(each, 1e-9)))
    fair = max(1, math.ceil(waiting / places))
    if known < SEVERAL:
        return min(waiting, whole, fair, 2 * max(1, known))
    worth_starting = math.ceil(starting * (1 / STARTING_SHARE - 1) / max(each, 1e-9))
    return min(waiting, whole, max(fair, worth_starting))


def _remembered() -> deque[float]:
    return deque(maxlen=REMEMBERED)


@dataclass
class Pace:
    """What was measured so far, in seconds; the latest count. target: of a shard."""

    target: float
    _trained: deque[float] = field(default_factory=_remembered)
    _others: deque[float] = field(default_factory=_remembered)
    _starting: deque[float] = field(default_factory=_remembered)

    def note(self, took: Iterable[tuple[bool, float]], starting: float | None = None) -> None:
        """Evaluations that came back: whether each trained, and its seconds. starting: what their shard took to start."""
        for trained, seconds in took:
            (self._trained if trained else self._others).append(seconds)
        if starting is not None:
            self._starting.append(starting)

    @property
    def measured(self) -> bool:
        """Whether any evaluation was."""
        return bool(self._trained or self._others)

    @property
    def starting(self) -> float:
        """Seconds that a shard takes to start; 0 as long as none was measured."""
        return median(self._starting) if self._starting else 0.0

    def each(self, training: bool) -> float | None:
        """Seconds that one evaluation takes, rather too many; None if none of its kind was measured.

        training: whether it trains. One that does not takes no longer than one that does.
        """
        took = sorted(self._like(training))
        return took[math.ceil(HIGH * len(took)) - 1] if took else None

    def mean(self, training: bool) -> float | None:
        """As `each`, as many as it takes on average."""
        took = self._like(training)
        return fmean(took) if took else None

    def slowest(self, training: bool) -> float | None:
        """As `each`, of the one that took longest."""
        return max(self._like(training), default=None)

    def size(self, waiting: int, places: int, training: bool) -> int:
        """See `shard_size`. training: whether any of those that wait must train."""
        return shard_size(waiting, places, self.each(training), self.starting, self.target, len(self._like(training)))

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

    def _like(self, training: bool) -> deque[float]:
        return self._trained if training or not self._others else self._others
