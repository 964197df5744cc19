"""Which shards are waited for, how long, and whom their end is blamed on: on a clock of the test's own."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra import patience
from infra.store import Store, StoreUnavailable
from infra.work_pool_types import Ended
from tasks.evaluate.jobs import Job, Outcome
from tasks.evaluate.shards import dispatch as under_test
from tasks.evaluate.shards.dispatch import HANGS_AFTER, HANGS_AT_LEAST, Dispatch, seconds_of
from tasks.evaluate.shards.messages import load_shard, save_report
from tasks.evaluate.shards.sizing import Pace
from tests.evaluate.shards.building import PoolHere, do, jobs, recalled, worth

TRAINING = 100.0  # seconds of an evaluation that trains; the empty coalition takes two


class Clock:
    """`time` for whoever waits."""

    def __init__(self) -> None:
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(under_test, "time", clock)
    monkeypatch.setattr(patience, "time", clock)
    return clock


class TimedPool:
    """Works as fast as it is told, and gives up what was silent for too long, as `infra.work_pool` does."""

    def __init__(self, store: Store, places: int, clock: Clock, takes: Callable[[Job], float]) -> None:
        self.store, self.places, self._clock, self._takes = store, places, clock, takes
        self.sizes: list[int] = []
        self.given_up: list[str] = []
        self._flying: dict[str, tuple[str, float]] = {}

    def send(self, name: str, parameters: Mapping[str, str]) -> str:
        run = str(uuid.uuid4())
        self._flying[run] = parameters["shard"], self._clock.now
        self.sizes.append(len(load_shard(parameters["shard"], self.store)))
        return run

    def ended(self, silent: float | None = None) -> dict[str, Ended]:
        found = {}
        for run, (shard, began) in list(self._flying.items()):
            mine = load_shard(shard, self.store)
            done = began
            for number, job in enumerate(mine):
                if self._clock.now < done + self._takes(job):
                    if silent is not None and self._clock.now - done > silent:
                        for finished in mine[:number]:
                            do(finished, self.store, self._takes(finished))
                        found[run] = Ended(False, "silent", None, died=True)
                        self.given_up.append(run)
                    break
                done += self._takes(job)
            else:
                outcomes = [do(job, self.store, self._takes(job)) for job in mine]
                working = sum(map(self._takes, mine))
                save_report(run, shard, outcomes, worker="here", loading=1, working=working, store=self.store)
                found[run] = Ended(True, "Completed", 5.0)
        for run in found:
            del self._flying[run]
        return found

    def refresh(self) -> None:
        pass

    def finished_tasks(self) -> int:
        return 0

    def cancel(self, why: str) -> None:
        self._flying.clear()


def dispatch(asked: Sequence[Job], pool: Any, said: list[str], *, poll: float = 0.0, **changes: Any) -> Dispatch:
    settings: dict[str, Any] = {
        "training": [i for i, job in enumerate(asked) if job.members],
        "common": {"study": "small", "store": pool.store.url, "setting": "0" * 64},
        "recall": recalled(pool.store),
        "retries": 0,
        "pace": Pace(target=900.0),
        "say": said.append,
        "still_ours": lambda: None,
        "poll": poll,
    }
    return Dispatch(asked, deque(range(len(asked))), pool, pool.store, **{**settings, **changes})


def takes(job: Job) -> float:
    return TRAINING if job.members else 2.0


@pytest.mark.parametrize("places", [1, 4])
def test_after_the_empty_coalition_shards_are_no_longer_than_wished_and_no_healthy_one_is_given_up(
    tmp_path: Path, clock: Clock, places: int
) -> None:
    asked = [job for number, job in enumerate(jobs(120)) if number == 0 or number % 64]
    pool = TimedPool(Store(str(tmp_path)), places, clock, takes)
    found = dict(dispatch(asked, pool, [], poll=10.0).outcomes())
    assert not pool.given_up and len(found) == len(asked)
    assert all(outcome.values == {"worth": worth(asked[i])} for i, outcome in found.items())
    assert max(pool.sizes) == 9 and pool.sizes[:2] == [1, 1]  # 900 s of 100 s each


def test_a_shard_that_makes_progress_is_not_given_up_however_slow_its_machine(tmp_path: Path, clock: Clock) -> None:
    asked = jobs(60)[1:]
    slow = {job.model.key for job in asked[20:40]}

    def unevenly(job: Job) -> float:
        return TRAINING * (20 if job.model.key in slow else 1)

    pool = TimedPool(Store(str(tmp_path)), 2, clock, unevenly)
    found = dict(dispatch(asked, pool, [], poll=10.0).outcomes())
    assert not pool.given_up and not any(outcome.failures for outcome in found.values()) and len(found) == 59


def test_one_that_hangs_is_given_up_and_only_its_own_evaluation_is_blamed(tmp_path: Path, clock: Clock) -> None:
    asked = jobs(60)[1:]
    deadly = asked[30].model.key

    def hangs(job: Job) -> float:
        return float("inf") if job.model.key == deadly else TRAINING

    pool = TimedPool(Store(str(tmp_path)), 2, clock, hangs)
    found = dict(dispatch(asked, pool, [], poll=10.0).outcomes())
    assert len(pool.given_up) == 1 and "in the middle of it (silent)" in found[30].failures["worth"]
    assert all(not outcome.failures for i, outcome in found.items() if i != 30) and len(found) == 59


def test_what_is_too_silent_is_measured_by_the_slowest_of_its_kind_and_unknown_before(tmp_path: Path) -> None:
    pool = PoolHere(Store(str(tmp_path)), 1, lambda number, shard: None)
    list(dispatch(jobs(4), pool, []).outcomes())
    assert pool.silences[:2] == [None, None]  # the empty coalition tells nothing about the next
    assert pool.silences[2] == pytest.approx(HANGS_AFTER * 0.5 + HANGS_AT_LEAST)


def test_a_shard_that_was_killed_tells_how_long_its_evaluations_took(tmp_path: Path, clock: Clock) -> None:
    asked = jobs(3)[1:]
    pool = PoolHere(Store(str(tmp_path)), 1, lambda number, shard: 1 if number == 1 else None)
    pace = Pace(target=900.0)
    pace.note([(True, 1.0)] * 8)
    list(dispatch(asked, pool, [], retries=1, pace=pace).outcomes())
    assert len(pace._trained) == 8 + 2  # one of them from the ledger


def test_an_evaluation_trained_if_it_has_members_and_spent_time_on_it_now_or_when_it_was_made() -> None:
    empty, first = jobs(2)
    assert seconds_of(empty, Outcome(trained=True, seconds={"fine_tune": 0.1, "sample": 2.0})) == (False, 2.1)
    assert seconds_of(first, Outcome(seconds={"fine_tune": 50.0, "score": 1.0}), 0.5) == (True, 51.5)
    assert seconds_of(first, Outcome(seconds={"score": 1.0})) == (False, 1.0)


class Cut:
    """Every call to the store fails `times` times before it is let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self._times, self._left = times, dict[str, int]()
        for name in ("load_report", "save_shard"):
            monkeypatch.setattr(under_test, name, self(getattr(under_test, name)))

    def __call__(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*arguments: Any) -> Any:
            left = self._left.setdefault(call.__name__, self._times)
            if left:
                self._left[call.__name__] = left - 1
                raise StoreUnavailable("connection refused")
            self._left[call.__name__] = self._times
            return call(*arguments)

        return cut


def test_a_short_outage_of_the_store_costs_waiting_and_no_shard(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, said, ours = Cut(monkeypatch, 5), list[str](), list[int]()
    asked, pool = jobs(30), PoolHere(Store(str(tmp_path)), 3, lambda number, shard: 1 if number == 4 else None)

    def still_ours() -> None:
        ours.append(1)

    work = dispatch(asked, pool, said, retries=1, recall=cut(recalled(pool.store)), still_ours=cut(still_ours))
    found = dict(work.outcomes())
    assert {i: outcome.values["worth"] for i, outcome in found.items()} == {i: worth(j) for i, j in enumerate(asked)}
    assert pool.evaluated == 30 and not pool.cancelled and len(ours) == len(pool.sent)
    assert any(
        "the store" in line and "does not answer (StoreUnavailable: connection refused)" in line for line in said
    )


def test_a_store_that_stays_away_ends_the_run_and_no_shard_is_forgotten(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, began = PoolHere(Store(str(tmp_path)), 2, lambda number, shard: None), clock.now
    work = dispatch(jobs(10), pool, [])

    def away(*arguments: Any) -> None:
        raise StoreUnavailable("connection refused")

    monkeypatch.setattr(under_test, "load_report", away)
    with pytest.raises(StoreUnavailable):
        list(work.outcomes())
    assert len(work.flying) == 2 and 600 <= clock.now - began < 700
