"""Send shards while places are free, gather what comes back, send again what was lost.

A shard evaluates its jobs in order, the ledger has each as soon as it is done, and a job that raises ends its shard. So when
a shard comes back incomplete, the first job that is missing is the one at fault, if any is: it is blamed if it raised, or if
the shard died in the middle of its work. Blamed too often, it has failed. All others are sent again. Shards that end one
after another without a single evaluation mean that the pool is at fault, and end the run.

A shard is given up when it shows no sign of life for far longer than an evaluation takes, however long it works in all. The
store may be away for as long as the Prefect server: the shards go on, and what they report is read when it is back.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from infra.patience import patiently_with_store
from infra.store import Store
from infra.work_pool_types import Ended, WorkPoolError
from tasks.evaluate.jobs import Job, Outcome
from tasks.evaluate.shards.messages import Report, load_report, save_shard
from tasks.evaluate.shards.sizing import Pace
from tasks.progress import clock

T = TypeVar("T")
Say = Callable[[str], None]
HANGS_AFTER = 5.0  # times the seconds of the slowest evaluation that was measured …
HANGS_AT_LEAST = 1800.0  # … and so many seconds besides: the card may be another one, its files may have to be fetched
ENDING_SECONDS = 120.0  # how long cancelled shards may take to end
SAY_EVERY = 60.0  # seconds between lines about the shards under way
Recall = Callable[[Sequence[Job]], Mapping[int, Outcome]]


class Sends(Protocol):
    """Where shards go."""

    places: int

    def send(self, name: str, parameters: Mapping[str, str]) -> str:
        """Hand a run over. Returns its id."""
        ...

    def ended(self, silent: float | None = None) -> Mapping[str, Ended]:
        """The runs that have ended since this was last asked, and those that are given up.

        silent: seconds without a sign of life after which one is; None where nobody knows what is too long.
        """
        ...

    def refresh(self) -> None:
        """Look again how many places there are."""
        ...

    def finished_tasks(self) -> int:
        """Evaluations that the runs under way have finished so far."""
        ...

    def cancel(self, why: str) -> None:
        """End all that are under way."""
        ...


class Dispatch:
    """One round of evaluations on a work pool.

    Args:
        jobs, waiting: all jobs of the round, and the positions of those to do; whoever empties it ends the round early.
        training: positions of those that must train, as far as is known before.
        common: parameters of every shard beside its own digest.
        recall: what the ledger has of some jobs, by position among them.
        retries: how often a job may be blamed for the end of its shard and be sent again.
        still_ours: asked before anything is sent, and once a minute; raises if another run has taken the study over.
        poll: seconds between looks at the pool.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        waiting: deque[int],
        pool: Sends,
        store: Store,
        *,
        training: Collection[int],
        common: Mapping[str, str],
        recall: Recall,
        retries: int,
        pace: Pace,
        say: Say,
        still_ours: Callable[[], None],
        poll: float,
    ) -> None:
        self.jobs, self.waiting, self.pool, self.store = jobs, waiting, pool, store
        self.flying: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._training = frozenset(training)
        self._common, self._recall, self._retries = common, recall, retries
        self._pace, self._say, self._still_ours, self._poll = pace, say, still_ours, poll
        self._blamed: Counter[int] = Counter()
        self._fruitless = self._sent = 0
        self._ending: float | None = None  # since when we have given up
        self._said = time.monotonic()

    @property
    def under_way(self) -> int:
        """Evaluations that are with the pool now."""
        return sum(len(positions) for _, positions in self.flying.values())

    def give_up(self, why: str) -> None:
        """Send nothing more, and end what is under way; what that had finished is still gathered."""
        self._ending = time.monotonic()
        self.waiting.clear()
        self.pool.cancel(why)

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Position and outcome of each evaluation, as they come in.

        Raises:
            WorkPoolError: if shards end, one after another, without a single evaluation.
            StoreUnavailable: if the store is away for ten minutes.
        """
        while self.waiting or self.flying:
            while self.waiting and len(self.flying) < self.pool.places:
                self._send()
            if self._ending is not None and time.monotonic() - self._ending > ENDING_SECONDS:
                self._say(f"{len(self.flying)} shards do not end; they are left to themselves")
                return
            ended = self.pool.ended(self._silent())
            if not ended:
                self._say_progress()
                time.sleep(self._poll)
            for run, end in ended.items():
                yield from self._gather(run, end)

    def _silent(self) -> float | None:
        """Seconds without a sign of life after which a shard is given up. What nobody else notices: a machine that is gone,
        a card that hangs. None until an evaluation of the kind that is under way was measured."""
        training = any(not self._training.isdisjoint(positions) for _, positions in self.flying.values())
        slowest = self._pace.slowest(training)
        return None if slowest is None else HANGS_AFTER * slowest + HANGS_AT_LEAST

    def _say_progress(self) -> None:
        """Now and then, how far the shards are that are under way."""
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return
        self._said = now
        if self._ending is None:
            self._patiently(self._still_ours)
        self.pool.refresh()
        done = min(self.pool.finished_tasks(), self.under_way)
        left = len(self.waiting) + self.under_way - done
        each = self._pace.mean(bool(self._training))
        time_left = "" if each is None else f"; about {clock(left * each / self.pool.places)} left"
        self._say(
            f"{len(self.flying)} shards under way: {done} of their {self.under_way} evaluations are done, "
            f"{len(self.waiting)} wait{time_left}"
        )

    def _send(self) -> None:
        self._patiently(self._still_ours)
        training = any(position in self._training for position in self.waiting)
        size = self._pace.size(len(self.waiting), self.pool.places, training)
        positions = tuple(self.waiting.popleft() for _ in range(size))
        shard = self._patiently(lambda: save_shard([self.jobs[i] for i in positions], self.store))
        self._sent += 1
        name = f"shard-{self._sent:04d}-of-{size}-evaluations"
        run = self.pool.send(name, {**self._common, "shard": shard})
        self.flying[run] = shard, positions
        self._say(f"sent {name}; {len(self.flying)} of {self.pool.places} places are taken, {len(self.waiting)} wait")

    def _gather(self, run: str, end: Ended) -> Iterator[tuple[int, Outcome]]:
        shard, positions = self.flying[run]
        mine = [self.jobs[i] for i in positions]
        report = self._patiently(lambda: load_report(run, shard, len(positions), self.store))
        if report is not None:
            told, outcomes = report
            starting = None if end.starting is None else end.starting + told.loading
            self._pace.note(_took(mine, outcomes, told), starting)
            found = dict(enumerate(outcomes))
            at_fault, why = told.stopped is not None, f"{told.stopped}"
        else:
            found = dict(self._patiently(lambda: self._recall(mine)))
            self._pace.note(seconds_of(mine[i], outcome) for i, outcome in found.items())
            at_fault, why = end.died, f"its worker ended in the middle of it ({end.said})"
        del self.flying[run]
        left = [position for i, position in enumerate(positions) if i not in found]
        yield from ((positions[i], outcome) for i, outcome in found.items())
        if not left:
            self._fruitless = 0
        elif self._ending is None:
            yield from self._again(left, len(found), at_fault, why if at_fault else end.said, run, end.outage)

    def _again(
        self, left: list[int], found: int, at_fault: bool, why: str, run: str, outage: bool
    ) -> Iterator[tuple[int, Outcome]]:
        """Send what is left of a shard again, and the job that broke it off too, unless that happened too often."""
        self._say(f"a shard ended early after {found} evaluations, {len(left)} are sent again: {why}")
        self._fruitless = 0 if found else self._fruitless + (not outage)
        # One bad machine is always the first to be free again; the others must have had their chance.
        if self._fruitless > max(self._retries, self.pool.places):
            raise WorkPoolError(
                f"{self._fruitless} shards ended one after another without a single evaluation; the last one: {why}. "
                f"Its flow run {run} has the log. Start the study again when the cause is removed: nothing is lost"
            )
        if at_fault:
            blamed = left[0]
            self._blamed[blamed] += 1
            if self._blamed[blamed] > self._retries:
                left = left[1:]
                said = f"tried {self._blamed[blamed]} times; the last time: {why}"
                yield blamed, Outcome(failures=dict.fromkeys(self.jobs[blamed].scores, said))
        self.waiting.extend(left)

    def _patiently(self, call: Callable[[], T]) -> T:
        """What a call to the store gives, which may be away for a while."""
        return patiently_with_store(call, self._say, self.store.url)


def seconds_of(job: Job, outcome: Outcome, on_top: float = 0.0) -> tuple[bool, float]:
    """For `Pace`: whether an evaluation trained, now or when it was made, and its seconds. The empty coalition's network is
    made without training."""
    trained = bool(job.members) and (outcome.trained or outcome.seconds.get("fine_tune", 0.0) > 0)
    return trained, sum(outcome.seconds.values()) + on_top


def _took(jobs: Sequence[Job], outcomes: Sequence[Outcome], told: Report) -> list[tuple[bool, float]]:
    """The same of each evaluation that a shard made, with its share of what came on top: fetching the data, Prefect."""
    made = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=False) if not outcome.cached]
    on_top = max(0.0, told.working - sum(sum(outcome.seconds.values()) for _, outcome in made)) / max(1, len(made))
    return [seconds_of(job, outcome, on_top) for job, outcome in made]
