"""What is foreseen of a study is what then happens: the real plan and stop rule, on games of known values."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.evaluate.failures import TooManyFailures
from tasks.partition import Partition
from tasks.preview.extent import Extent, foresee
from tasks.study import Study
from tests.plan.world import PRUNED, Killed, World, people, play, study

N = 6
HARD: dict[str, Any] = {"stop_width": 1e-12}
EASY: dict[str, Any] = {"stop_width": 1e9}


def look(wanted: Study, partition: Partition, world: World) -> Extent:
    statistics = dict.fromkeys(wanted.properties.names)
    return foresee(wanted, partition, PRUNED, statistics, world.ledger, world.earlier)


def test_without_a_stop_rule_everything_is_sure() -> None:
    world, wanted = World(), study(budget=30)
    extent = look(wanted, people(N), world)
    assert (len(extent.later), extent.picks) == (0, 0)
    play(wanted, people(N), world)
    assert world.evaluated == len(extent.sure) == extent.asked


def test_a_rule_that_is_never_satisfied_takes_the_most_that_was_foreseen() -> None:
    world, wanted = World(), study(budget=33, batch=5, **HARD)
    extent = look(wanted, people(N), world)
    assert len(extent.sure) < extent.asked
    plan, _ = play(wanted, people(N), world)
    assert world.evaluated == extent.asked == len(plan.jobs)
    assert {j.model.key for j in plan.jobs} == {j.model.key for j in (*extent.sure, *extent.later)}


def test_a_rule_that_is_satisfied_at_once_takes_the_least() -> None:
    world, wanted = World(), study(budget=33, **EASY)
    extent = look(wanted, people(N), world)
    play(wanted, people(N), world)
    assert world.evaluated == len(extent.sure) < extent.asked


@pytest.mark.parametrize("rule", [HARD, EASY], ids=["hard", "easy"])
def test_once_finished_nothing_is_left_and_it_says_why(rule: dict[str, Any]) -> None:
    world, wanted = World(), study(budget=33, **rule)
    plan, _ = play(wanted, people(N), world)
    extent = look(wanted, people(N), world)
    assert (extent.sure, extent.later, extent.picks) == ((), (), 0)
    assert extent.plan.ended == plan.ended and extent.plan.ended is not None


@pytest.mark.parametrize("after", [3, 25, 31])
def test_after_a_run_that_was_killed_the_rest_is_left(after: int) -> None:
    world, wanted = World(), study(budget=33, batch=5, **HARD)
    with pytest.raises(Killed):
        play(wanted, people(N), world, kill_after=after)
    extent = look(wanted, people(N), world)
    left = len(extent.sure) + len(extent.later)
    assert len(extent.plan.cached) + extent.later_cached == world.evaluated == after
    play(wanted, people(N), world)
    assert world.evaluated == after + left


def test_picks_that_nobody_can_know_are_counted() -> None:
    world, wanted = World(), study(budget=30, design="a_optimal")
    extent = look(wanted, people(N), world)
    assert extent.picks and not extent.later
    plan, _ = play(wanted, people(N), world)
    assert world.evaluated == extent.asked == len(plan.jobs)


def test_after_somebody_joined_what_the_ledger_has_is_not_asked_for_again() -> None:
    world, wanted = World(), study(budget=30, design="a_optimal")
    play(wanted, people(N), world)
    with_new = people(N, joined=[N])
    extent, before = look(wanted, with_new, world), world.evaluated
    assert extent.plan.archive.jobs
    play(wanted, with_new, world)
    assert len(extent.sure) <= world.evaluated - before <= len(extent.sure) + extent.picks


def test_a_ledger_in_which_the_grand_coalition_failed_is_refused_as_a_run_would() -> None:
    partition = people(N)
    world, wanted = World(failing=[frozenset(c.name for c in partition.contributors)]), study(budget=30)
    with pytest.raises(TooManyFailures):
        play(wanted, partition, world)
    with pytest.raises(TooManyFailures, match="the grand coalition has no value"):
        look(wanted, partition, world)
