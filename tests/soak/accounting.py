"""Was anything lost, changed, left undone or done twice? Pure functions over what was seen; `watch` and `journal` see it.

**Lost, changed.** Every record of the ledger that was once seen is remembered with the sha256 of its bytes. At the end it
must be there with the same bytes. A record that a listing lacks and a read finds was listed incompletely: nothing is lost,
but a run that listed then has made it again.

**Done twice.** The processes that evaluate say in a journal when a training begins and when its record is written. A key
whose training began more than once was repeated. A repeat is explained

- as interrupted, if no earlier training of the key had been recorded when it began, and each of these was disturbed: a
  fault, or a cancellation, lay between its beginning and that of the repeat, or had ended at most GRACE before. The training
  was in flight, or its record had not been written; nobody can tell such a coalition from one that was never begun.
- as side by side, likewise, if an earlier training was recorded after all while the repeat went on: its shard had lost its
  driver, and had not ended yet when the next run of the study began.
- as tidied up, if the record was there and gc or an opt-out has removed weights since.

Whatever is not explained so is a defect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

GRACE = (
    120.0  # seconds for which a disturbance may have consequences: retries, a cancelled shard that has not ended yet
)
INTERRUPTED, SIDE_BY_SIDE, TIDIED = "interrupted", "side by side", "tidied up"


@dataclass(frozen=True)
class Training:
    """One training of a coalition's model. Times in seconds since 1970; recorded: None if that was not reached."""

    key: str
    began: float
    recorded: float | None
    run: str


@dataclass(frozen=True)
class Disturbance:
    """What was done to the stack, from when to when."""

    at: float
    until: float
    kind: str


@dataclass(frozen=True)
class Repeat:
    """A training of a key that had been trained before. why: one of the three words above; None where nothing does."""

    training: Training
    why: str | None


@dataclass
class Book:
    """The records of the ledger: what each had in it when it was first read."""

    first: dict[str, str] = field(default_factory=dict)  # key of the store -> sha256 of its bytes
    listed_incompletely: int = 0
    changed: dict[str, str] = field(default_factory=dict)

    def read(self, key: str, digest: str) -> None:
        """A record was read."""
        if self.first.setdefault(key, digest) != digest:
            self.changed[key] = digest

    def missing(self, listed: Iterable[str]) -> set[str]:
        """Records that were there once, and are not among these."""
        return self.first.keys() - set(listed)

    def lost(self, now: Mapping[str, str]) -> set[str]:
        """Records that were there once, and are not now (key -> sha256); what has other bytes now is in `changed`."""
        for key, digest in now.items():
            self.read(key, digest)
        return self.first.keys() - now.keys()


def trainings(events: Iterable[Mapping[str, object]]) -> list[Training]:
    """From the journal: a beginning, and the record that the same run wrote of the same key next."""
    begun: dict[tuple[str, str], list[float]] = defaultdict(list)
    found: list[Training] = []
    for event in sorted(events, key=lambda event: float(str(event["at"]))):
        key, run, at = str(event["key"]), str(event["run"]), float(str(event["at"]))
        if event["event"] == "began":
            begun[key, run].append(at)
        elif begun[key, run]:
            found.append(Training(key, begun[key, run].pop(), at, run))
    found += [Training(key, at, None, run) for (key, run), times in begun.items() for at in times]
    return sorted(found, key=lambda training: (training.began, training.key))


def repeats(
    made: Sequence[Training], disturbances: Sequence[Disturbance], tidied: Sequence[Disturbance]
) -> list[Repeat]:
    """Trainings of keys that had been trained before, each with what explains it.

    Args:
        tidied: when gc and opt-outs were at work.
    """
    earlier: dict[str, list[Training]] = defaultdict(list)
    found = []
    for training in sorted(made, key=lambda each: each.began):
        before = earlier[training.key]
        if before:
            found.append(Repeat(training, _why(training, before, disturbances, tidied)))
        before.append(training)
    return found


def _why(
    repeat: Training, before: Sequence[Training], disturbances: Sequence[Disturbance], tidied: Sequence[Disturbance]
) -> str | None:
    recorded = [each.recorded for each in before if each.recorded is not None and each.recorded <= repeat.began]
    if recorded:
        removed = any(each.until >= max(recorded) and each.at <= repeat.began for each in tidied)
        return TIDIED if removed else None
    disturbed = all(
        any(each.at <= repeat.began and each.until + GRACE >= one.began for each in disturbances) for one in before
    )
    if not disturbed:
        return None
    return SIDE_BY_SIDE if any(one.recorded is not None for one in before) else INTERRUPTED
