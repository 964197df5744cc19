"""Which fault comes when: a plan from a seed, before anything runs. The same seed and length give the same plan.

A fault names no process, for nobody knows which there will be: `pick`, a number below one, chooses among those that play the
part at that moment.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

KILL_EVALUATION = "kill evaluation"  # the process of a shard, in the middle of a training
KILL_WORKER = "kill worker"
KILL_DRIVER = "kill driver"  # the process of `attribute` or `reattribute`
KILL_S3 = "kill S3 server"
KILL_SERVER = "kill Prefect server"
HANG_EVALUATION = "hang evaluation"
HANG_WORKER = "hang worker"
HANG_DRIVER = "hang driver"
HANG_S3 = "hang S3 server"
HANG_SERVER = "hang Prefect server"
CANCEL = "cancel run"  # through the API; it is started again
SECOND_RUN = "second run"  # of a study that is being run
TIDY_UP = "gc"  # deletes whatever no latest statement needs
OPT_OUT = "opt-out and return"

# How often each comes in one bag: every kind comes in each bag, and bags follow one another.
BAG: dict[str, int] = {
    KILL_EVALUATION: 4,
    KILL_WORKER: 2,
    KILL_DRIVER: 2,
    KILL_S3: 2,
    KILL_SERVER: 2,
    HANG_EVALUATION: 1,
    HANG_WORKER: 1,
    HANG_DRIVER: 1,
    HANG_S3: 1,
    HANG_SERVER: 1,
    CANCEL: 2,
    SECOND_RUN: 1,
    TIDY_UP: 1,
    OPT_OUT: 1,
}
FIRST_AFTER = 30.0  # seconds: nothing is under way before
SHORTEST_HANG, LONGEST_HANG = 5.0, 30.0  # seconds


@dataclass(frozen=True)
class Fault:
    """at: seconds since the soak began. pick: in [0, 1), chooses the target. seconds: of a hang; 0 for all others."""

    at: float
    kind: str
    pick: float
    seconds: float


def plan(seed: int, minutes: float, pace: float = 20.0) -> tuple[Fault, ...]:
    """The faults of a soak, in order.

    Args:
        pace: mean seconds between two of them.

    Raises:
        ValueError: if there is no time for a single one, or pace is not positive.
    """
    if pace <= 0:
        raise ValueError(f"--pace {pace}: seconds between faults must be positive")
    if minutes * 60 <= FIRST_AFTER:
        raise ValueError(
            f"--minutes {minutes}: the first fault comes after {FIRST_AFTER:.0f} s; take at least one minute"
        )
    generator, bag, found = random.Random(seed), list[str](), list[Fault]()
    at = FIRST_AFTER
    while at < minutes * 60:
        if not bag:
            bag = [kind for kind, count in BAG.items() for _ in range(count)]
            generator.shuffle(bag)
        kind, pick = bag.pop(), generator.random()
        seconds = generator.uniform(SHORTEST_HANG, LONGEST_HANG)  # drawn for all, so that a kind shifts no later one
        found.append(Fault(round(at, 1), kind, pick, round(seconds, 1) if kind.startswith("hang") else 0.0))
        at += pace * generator.uniform(0.3, 1.7)
    return tuple(found)
