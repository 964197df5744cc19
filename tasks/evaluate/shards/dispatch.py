"""Send shards while places are free, gather what comes back, send again what was lost.

A shard evaluates its jobs in order and the ledger has each as soon as it is done. So when a shard ends without a report
(killed, out of memory, evicted), the first job that the ledger does not know was the one under way: it alone is blamed, and
all that are left are sent again. A job that was blamed too often has failed; shards that end one after another without a
single evaluation mean that the pool is at fault, and end the run.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from infra.store import Store
from infra.work_pool_types import Ended, WorkPoolError
from tasks.evaluate.jobs import Job, Outcome
from tasks.evaluate.shards.messages import load_report, save_shard
from tasks.evaluate.shards.sizing import Pace
from tasks.progress import clock

Say = Callable[[str], None]
ENDING_SECONDS = 120.0  # how long cancelled shards may take to end
SAY_EVERY = 60.0  # seconds between lines about the shards under way
Recall = Callable[[Sequence[Job]], Mapping[int, Outcome]]


class Sends(Protocol):
    """Where shards go."""

    places: int

    def send(self, name: str, parameters: Mapping[str, str]) -> str:
        """Hand a run over. Returns its id."""
        ...

    def ended(self) -> Mapping[str, Ended]:
        """The runs that have ended since this was last asked."""
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
        common: parameters of every shard beside its own digest.
        recall: what the ledger has of some jobs, by position among them.
        retries: how often a job may be blamed for the end of its shard before it counts as failed.
        poll: seconds between looks at the pool.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        waiting: deque[int],
        pool: Sends,
        store: Store,
        *,
        common: Mapping[str, str],
        recall: Recall,
        retries: int,
        pace: Pace,
        say: Say,
        poll: float,
    ) -> None:
        self.jobs, self.waiting, self.pool, self.store = jobs, waiting, pool, store
        self.flying: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._common, self._recall, self._retries = common, recall, retries
        self._pace, self._say, self._poll = pace, say, poll
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
        """
        while self.waiting or self.flying:
            while self.waiting and len(self.flying) < self.pool.places:
                self._send()
            if self._ending is not None and time.monotonic() - self._ending > ENDING_SECONDS:
                self._say(f"{len(self.flying)} shards do not end; they are left to themselves")
                return
            ended = self.pool.ended()
            if not ended:
                self._say_progress()
                time.sleep(self._poll)
            for run, end in ended.items():
                yield from self._gather(run, end)

    def _say_progress(self) -> None:
        """Now and then, how far the shards are that are under way."""
        now = time.monotonic()
        if now - self._said < SAY_EVERY:
            return
        self._said = now
        done = min(self.pool.finished_tasks(), self.under_way)
        left = len(self.waiting) + self.under_way - done
        each = self._pace.each
        time_left = "" if each is None else f"; about {clock(left * each / self.pool.places)} left"
        self._say(
            f"{len(self.flying)} shards under way: {done} of their {self.under_way} evaluations are done, "
            f"{len(self.waiting)} wait{time_left}"
        )

    def _send(self) -> None:
        size = self._pace.size(len(self.waiting), self.pool.places)
        positions = tuple(self.waiting.popleft() for _ in range(size))
        shard = save_shard([self.jobs[i] for i in positions], self.store)
        self._sent += 1
        name = f"shard-{self._sent:04d}-of-{size}-evaluations"
        run = self.pool.send(name, {**self._common, "shard": shard})
        self.flying[run] = shard, positions
        self._say(f"sent {name}; {len(self.flying)} of {self.pool.places} places are taken, {len(self.waiting)} wait")

    def _gather(self, run: str, end: Ended) -> Iterator[tuple[int, Outcome]]:
        shard, positions = self.flying.pop(run)
        report = load_report(run, shard, len(positions), self.store)
        if report is not None:
            told, outcomes = report
            computed = sum(not outcome.cached for outcome in outcomes)
            starting = None if end.starting is None else end.starting + told.loading
            self._pace.note(told.working, computed, starting)
            self._fruitless = 0
            yield from zip(positions, outcomes, strict=True)
            return
        found = self._recall([self.jobs[i] for i in positions])
        left = [position for i, position in enumerate(positions) if i not in found]
        self._fruitless = 0 if found else self._fruitless + 1
        if self._ending is None:
            self._say(
                f"a shard of {len(positions)} evaluations ended without a report ({end.said}); {len(found)} of them are in "
                f"the ledger, {len(left)} are sent again"
            )
        yield from ((positions[i], outcome) for i, outcome in found.items())
        if self._ending is not None or not left:
            return
        if self._fruitless > self._retries:
            raise WorkPoolError(
                f"{self._fruitless} shards ended one after another without a single evaluation; the last one: {end.said}. "
                f"Its flow run {run} has the log. Start the study again when the cause is removed: nothing is lost"
            )
        blamed = left[0]
        self._blamed[blamed] += 1
        if self._blamed[blamed] > self._retries:
            left = left[1:]
            why = f"the worker ended {self._blamed[blamed]} times in the middle of it; the last time: {end.said}"
            yield blamed, Outcome(failures=dict.fromkeys(self.jobs[blamed].scores, why))
        self.waiting.extendleft(reversed(left))
