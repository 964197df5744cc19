"""Every evaluation comes back exactly once, whatever dies; what cannot work ends the run, and what was done is kept."""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.store import Store
from infra.work_pool_types import WorkPoolError
from tasks.evaluate.jobs import Job
from tasks.evaluate.shards.dispatch import Dispatch
from tasks.evaluate.shards.sizing import Pace
from tests.evaluate.shards.building import PoolHere, jobs, recalled, worth

_fresh = itertools.count()


def lives(number: int, shard: Sequence[Job]) -> None:
    return None


def dispatch(
    asked: Sequence[Job], pool: PoolHere, said: list[str], *, retries: int = 2, target: float = 5.0
) -> Dispatch:
    return Dispatch(
        asked,
        deque(range(len(asked))),
        pool,
        pool.store,
        training=[i for i, job in enumerate(asked) if job.members],
        common={"study": "small", "store": pool.store.url, "setting": "0" * 64},
        recall=recalled(pool.store),
        retries=retries,
        pace=Pace(target=target),
        say=said.append,
        still_ours=lambda: None,
        poll=0.0,
    )


def test_all_evaluations_come_back_with_their_values_and_no_more_shards_are_under_way_than_there_are_places(
    tmp_path: Path,
) -> None:
    asked, pool = jobs(60), PoolHere(Store(str(tmp_path)), 3, lives)
    found = dict(dispatch(asked, pool, []).outcomes())
    assert {i: outcome.values["worth"] for i, outcome in found.items()} == {
        i: worth(job) for i, job in enumerate(asked)
    }
    assert pool.most == 3 and pool.evaluated == 60
    sizes = [len(shard) for _, shard in pool.sent]
    assert sizes[:4] == [1, 1, 1, 1] and max(sizes) == 10  # first a measure, then 5 s of 0.5 s each
    assert [name for name, _ in pool.sent][-1].startswith(f"shard-{len(sizes):04d}-of-")


@given(st.integers(0, 2**32), st.floats(0, 0.7), st.integers(1, 4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_when_workers_die_at_random_every_evaluation_comes_back_once_and_what_was_finished_is_not_made_again(
    tmp_path: Path, seed: int, chance: float, places: int
) -> None:
    chances = random.Random(seed)

    def dies(number: int, shard: Sequence[Job]) -> int | None:
        # Something is finished first; otherwise the pool is at fault, which is another test.
        return chances.randrange(1, len(shard)) if len(shard) > 1 and chances.random() < chance else None

    asked, pool = jobs(40), PoolHere(Store(str(tmp_path / str(next(_fresh)))), places, dies)
    came = list(dispatch(asked, pool, [], retries=40).outcomes())
    assert Counter(position for position, _ in came) == Counter(range(40))
    assert all(outcome.values["worth"] == worth(asked[position]) for position, outcome in came)
    assert pool.evaluated == 40


def test_the_evaluation_that_kills_its_worker_fails_after_its_retries_and_the_others_do_not_suffer(
    tmp_path: Path,
) -> None:
    asked = jobs(30)
    deadly = asked[17].model.key

    def dies(number: int, shard: Sequence[Job]) -> int | None:
        return next((i for i, job in enumerate(shard) if job.model.key == deadly), None)

    said: list[str] = []
    pool = PoolHere(Store(str(tmp_path)), 2, dies)
    found = dict(dispatch(asked, pool, said, retries=2).outcomes())
    why = "tried 3 times; the last time: its worker ended in the middle of it (Crashed: code -9)"
    assert found[17].failures == {"worth": why}
    assert all(found[i].values == {"worth": worth(asked[i])} for i in range(30) if i != 17)
    assert pool.evaluated == 29
    assert sum("a shard ended early" in line for line in said) == 3


def test_a_pool_that_never_evaluates_anything_ends_the_run_and_says_where_to_look(tmp_path: Path) -> None:
    pool = PoolHere(Store(str(tmp_path)), 1, lambda number, shard: 0)
    with pytest.raises(WorkPoolError, match=r"3 shards ended one after another .*Crashed: code -9.*has the log"):
        list(dispatch(jobs(30), pool, [], retries=2).outcomes())
    assert len(pool.sent) == 3


def test_an_evaluation_that_raises_ends_its_shard_and_fails_after_its_retries_with_its_own_reason(
    tmp_path: Path,
) -> None:
    asked, said = jobs(20), list[str]()
    pool = PoolHere(Store(str(tmp_path)), 2, lives)
    pool.raises = asked[11].model.key
    found = dict(dispatch(asked, pool, said, retries=1).outcomes())
    assert found[11].failures == {"worth": "tried 2 times; the last time: RuntimeError: CUDA error"}
    assert all(found[i].values == {"worth": worth(asked[i])} for i in range(20) if i != 11)
    assert pool.evaluated == 19


def test_shards_that_never_began_blame_no_evaluation_and_other_machines_get_their_chance(tmp_path: Path) -> None:
    asked = jobs(30)
    bad = iter([True, True, True])  # one machine that refuses whatever it is given, until somebody mends it

    def dies(number: int, shard: Sequence[Job]) -> int | None:
        return 0 if next(bad, False) else None

    pool = PoolHere(Store(str(tmp_path)), 4, dies)
    pool.begins = False
    found = dict(dispatch(asked, pool, [], retries=0).outcomes())
    assert not any(outcome.failures for outcome in found.values()) and len(found) == 30


def test_a_run_that_lost_its_study_to_another_one_sends_nothing_more(tmp_path: Path) -> None:
    pool = PoolHere(Store(str(tmp_path)), 2, lives)
    work = dispatch(jobs(5), pool, [])

    def lost() -> None:
        raise RuntimeError("another run has taken over")

    work._still_ours = lost
    with pytest.raises(RuntimeError, match="taken over"):
        list(work.outcomes())
    assert not pool.sent


def test_giving_up_cancels_what_is_under_way_sends_nothing_more_and_keeps_what_came_back(tmp_path: Path) -> None:
    asked, pool = jobs(30), PoolHere(Store(str(tmp_path)), 4, lives)
    work = dispatch(asked, pool, [])
    found = {}
    for position, outcome in work.outcomes():
        found[position] = outcome
        if len(found) == 2:
            work.give_up("too many have failed")
            sent = len(pool.sent)
    assert pool.cancelled == ["too many have failed"] and len(pool.sent) == sent
    assert found.keys() == {0, 1} and not work.flying


def test_ten_thousand_evaluations_never_have_more_shards_under_way_than_there_are_places(tmp_path: Path) -> None:
    asked, pool = jobs(10_000), PoolHere(Store(str(tmp_path)), 8, lives)
    work = dispatch(asked, pool, [], target=900.0)
    sizes = []
    while work.waiting:  # only the sending: what the shards would do is tested above
        size = work._pace.size(len(work.waiting), pool.places, training=True)
        work._pace.note([(True, 0.5)] * size, 5.0)
        for _ in range(size):
            work.waiting.popleft()
        sizes.append(size)
    assert sum(sizes) == 10_000 and len(sizes) < 60 and max(sizes) <= 1_800
