"""Under a hard budget a change costs what it may cost, month after month; what was trained is not trained again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.partition import Partition
from tasks.plan.design import FIRST
from tests.plan.world import Killed, World, people, play, study

BUDGET, MORE = 60, 18


def change(before: Partition, world: World, after: Partition, usable: int) -> int:
    """Run the increment; returns how many coalitions it evaluated."""
    wanted = study(audit=0, budget=1 + usable + MORE, design="a_optimal", hard_budget=True)
    start = world.evaluated
    play(wanted, after, world)
    return world.evaluated - start


def test_a_joiner_costs_the_same_every_month_however_full_the_ledger_is() -> None:
    world, count = World(), 8
    play(study(audit=0, budget=BUDGET), people(count), world)
    usable = BUDGET - 1
    for _ in range(5):  # somebody joins each month
        new = change(people(count), world, people(count + 1), usable)
        count += 1
        assert 0 < new <= MORE
        usable += new


@pytest.mark.parametrize(("count", "budget"), [(20, 120), (30, 180)])
def test_one_who_changes_images_costs_no_more_than_the_increment(count: int, budget: int) -> None:
    world = World()
    everybody = people(count)
    plan, _ = play(study(audit=0, budget=budget), everybody, world)
    changed = people(count, joined=[count + 50], left=[0])  # other images are somebody else's to the ledger
    rows = plan.asked(count)
    usable = int((~rows[:, 0] & rows.any(axis=1)).sum())
    more = math.ceil(0.3 * budget)
    assert usable + more >= FIRST * count  # else the study's own budget would be asked for
    wanted = study(audit=0, budget=1 + usable + more, design="a_optimal", hard_budget=True)
    start = world.evaluated
    _, results = play(wanted, changed, world)
    assert world.evaluated - start <= more
    assert np.isfinite(results[0].credits.interval(0.9)).all()


def test_a_run_that_is_killed_at_any_moment_ends_with_no_more_evaluations_than_one_that_is_not() -> None:
    for after in (0, 1, 5, 11):
        world = World()
        play(study(audit=0, budget=BUDGET), people(8), world)
        wanted = study(audit=0, budget=BUDGET + MORE, design="a_optimal", hard_budget=True)
        start = world.evaluated
        with pytest.raises(Killed):
            play(wanted, people(9), world, kill_after=after)
        play(wanted, people(9), world)
        assert world.evaluated - start <= MORE


def test_a_property_that_is_added_asks_again_for_what_was_trained_and_for_nothing_else() -> None:
    world = World()
    first = study(audit=2, budget=BUDGET)
    plan, _ = play(first, people(8), world)
    trained = {key for job in plan.jobs for key in [job.model.key]}
    wanted = study(
        names=("heldout_loss", "tests.plan.world:second"), audit=2, budget=BUDGET, design="a_optimal", hard_budget=True
    )
    again, results = play(wanted, people(8), world)
    assert {job.model.key for job in again.jobs} <= trained
    assert len({result.credits.n_evaluations for result in results}) == 1  # the new one on as many as the old one
