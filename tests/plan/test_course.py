"""Whole courses of rounds: when they end, what they say, and that nothing is ever paid for twice."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.estimate import TooManyFailures
from tasks.plan import Plan
from tasks.plan.course import goal_of
from tasks.shapley.stopping import AbsoluteWidth, RelativeWidth, TopSettled, widest_interval
from tasks.study import EstimationSpec
from tests.plan.world import SECOND, Killed, World, people, play, study

AUDIT = 3 * 2  # three coalitions under two more seeds


def test_goals_are_those_of_the_form() -> None:
    assert goal_of(EstimationSpec()) is None
    assert goal_of(EstimationSpec(stop_width=0.5)) == AbsoluteWidth(0.5)
    assert goal_of(EstimationSpec(stop_relative_width=0.1)) == RelativeWidth(0.1)
    assert goal_of(EstimationSpec(stop_top=3)) == TopSettled(3)


def test_a_goal_that_is_reached_early_leaves_budget_unspent_and_holds() -> None:
    world = World()
    plan, (result,) = play(study(budget=120, stop_width=0.08), people(8), world)
    assert plan.ended is not None and plan.ended.reached
    assert plan.draws < 120 and f"{plan.draws} of at most 120" in plan.ended.sentence
    assert widest_interval(result.credits) <= 0.08
    assert world.evaluated == plan.draws + AUDIT
    for earlier in plan.rounds[:-1]:
        assert not earlier.enough and earlier.standings[0].widest > 0.08


def test_a_goal_out_of_reach_ends_with_the_budget_and_says_how_far_it_was() -> None:
    plan, _ = play(study(budget=50, stop_width=0.001), people(8), World())
    assert plan.ended is not None and plan.ended.reached is False and plan.draws == 50
    assert "The budget of 50 evaluations is spent" in plan.ended.sentence
    assert "heldout_loss: the widest 90 % interval is" in plan.ended.sentence and "0.001" in plan.ended.sentence
    assert [r.draws for r in plan.rounds] == [24, 32, 40, 48, 50]


def test_a_forecast_is_announced_for_it_may_take_a_while_and_not_where_the_goal_is_reached() -> None:
    said: list[str] = []
    plan, _ = play(study(budget=32, stop_width=0.001), people(8), World(), say=said.append)
    assert said == ["forecasting how many evaluations heldout_loss will still take …"] * len(plan.rounds)
    play(study(budget=32, stop_width=1e9), people(8), World(), say=said.append)
    assert len(said) == len(plan.rounds)


def test_every_coalition_can_be_all_that_there_is() -> None:
    plan, _ = play(study(budget=50, stop_width=1e-6), people(4), World())
    assert plan.ended is not None and plan.ended.reached is False and plan.draws == 16
    assert "Every coalition has been evaluated" in plan.ended.sentence and "noise" in plan.ended.sentence


def test_without_a_rule_there_is_one_round_and_it_says_how_wide_the_intervals_are() -> None:
    plan, (result,) = play(study(budget=40), people(8), World())
    assert plan.ended is not None and plan.ended.reached is None and len(plan.rounds) == 1
    assert plan.rounds[0].standings[0].widest == widest_interval(result.credits)
    assert plan.rounds[0].evaluated == 40 + AUDIT


def test_the_goal_must_hold_for_every_property_and_the_slowest_is_named() -> None:
    world = World()
    plan, _ = play(study(("heldout_loss", SECOND), budget=90, stop_top=2), people(7), world)
    assert len(plan.rounds[0].standings) == 2
    last = plan.rounds[-1]
    assert plan.ended is not None and plan.ended.reached == all(s.progress.enough for s in last.standings if s.progress)
    for this in plan.rounds[:-1]:
        assert not this.slowest.progress or not this.slowest.progress.enough


@pytest.mark.parametrize("design", ["default", "kernelshap", "a_optimal"])
def test_a_study_run_again_evaluates_nothing_and_says_the_same(design: str) -> None:
    world, wanted = World(), study(budget=48, stop_width=0.03, design=design)
    _, (first,) = play(wanted, people(8), world)
    before = world.evaluated
    plan, (second,) = play(wanted, people(8), world)
    assert world.evaluated == before and len(plan.cached) == len(plan.jobs)
    assert np.allclose(second.credits.values, first.credits.values, atol=1e-3)
    assert widest_interval(second.credits) == pytest.approx(widest_interval(first.credits), rel=0.05)


@pytest.mark.parametrize("design", ["default", "kernelshap", "a_optimal"])
@pytest.mark.parametrize("after", [3, 27])
def test_a_run_that_was_killed_costs_no_evaluation_more(design: str, after: int) -> None:
    whole, wanted = World(), study(budget=44, stop_width=1e-6, design=design)
    play(wanted, people(8), whole)
    world = World()
    with pytest.raises(Killed):
        play(wanted, people(8), world, kill_after=after)
    plan, _ = play(wanted, people(8), world)
    assert world.evaluated <= whole.evaluated == 44 + AUDIT - _repeats(plan)


def _repeats(plan: Plan) -> int:
    """Draws of the iid design that cost nothing, for they had been drawn before."""
    return sum(job.draws - 1 for job in plan.jobs)


def test_a_larger_budget_goes_on_where_the_smaller_one_ended() -> None:
    world = World()
    play(study(budget=40, stop_width=1e-6), people(8), world)
    before = world.evaluated
    plan, _ = play(study(budget=56, stop_width=1e-6), people(8), world)
    assert world.evaluated - before == 16 and plan.draws == 56


def test_a_larger_budget_without_a_rule_reuses_what_it_does_not_ask_for() -> None:
    world = World()
    play(study(budget=40), people(8), world)
    plan, (result,) = play(study(budget=60), people(8), world)
    asked = {job.members for job in plan.jobs if job.role != "audit"}
    archive = {job.members for job in plan.archive.jobs}
    assert archive and not asked & archive
    assert result.reused == len(archive) and result.credits.n_evaluations == len(asked) + len(archive)
    alone, (single,) = play(study(budget=60, reuse=False), people(8), world)
    assert not alone.archive.jobs and single.credits.n_evaluations == 60
    assert widest_interval(result.credits) < widest_interval(single.credits)


@pytest.mark.parametrize("estimator", ["kernelshap", "kernelshap_sizes", "ridge_odd"])
def test_estimators_that_need_a_sample_are_given_no_archive(estimator: str) -> None:
    world, design = World(), "kernelshap" if estimator == "kernelshap" else "default"
    play(study(budget=40, seed=5), people(8), world)
    plan, (result,) = play(study(budget=40, estimator=estimator, design=design), people(8), world)
    assert not plan.archive.jobs and result.reused == 0


def test_an_archive_counts_for_nothing_in_the_share_of_failures() -> None:
    world = World()
    play(study(budget=60, seed=5), people(8), world)
    asked = play(study(budget=40), people(8), World())[0].jobs
    world.failing = [frozenset(job.names) for job in asked[4:6]]
    wanted = study(budget=40)
    strict = wanted.execution.model_copy(
        update={"failure_tolerance": 0.02}
    )  # of 46; of the archive as well it would be 2
    wanted = wanted.model_copy(update={"execution": strict})
    with pytest.raises(TooManyFailures, match=r"2 of 46 evaluations failed"):
        play(wanted, people(8), world)


def test_an_optimal_study_begins_with_what_the_ledger_has_and_counts_it() -> None:
    world = World()
    play(study(budget=40), people(8), world)
    before = world.evaluated
    plan, _ = play(study(budget=60, design="a_optimal"), people(8), world)
    assert len(plan.rounds) > 1 and len(plan.rounds[0].standings) == 1
    # 20 picks, and what the audit repeats of another first round
    assert 20 <= world.evaluated - before <= 20 + 2 + AUDIT
    assert plan.ended is not None and plan.ended.reached is None
    again = world.evaluated
    play(study(budget=60, design="a_optimal"), people(8), world)
    assert world.evaluated == again


def test_who_joins_is_shown_with_few_new_evaluations_and_their_interval_is_as_narrow_as_others() -> None:
    world = World()
    play(study(budget=80), people(10), world)
    before = world.evaluated
    _, (result,) = play(study(budget=80, design="a_optimal"), people(10, joined=[10, 11]), world)
    assert world.evaluated - before <= 2 * 80 // 8 + 12 + AUDIT + 4
    low, high = result.credits.excess_interval(0.9)
    width = high - low
    assert width[10:].max() < 2 * width[:10].max()
    assert result.reused > 60


def test_where_all_coalitions_of_those_who_are_here_are_asked_for_none_with_who_left_is_said_to_count() -> None:
    world = World()
    play(study(budget=64), people(6), world)
    plan, (result,) = play(study(budget=64), people(6, left=[3]), world)
    assert result.credits.estimator == "definition" and not plan.archive.former_names
    assert (result.reused, result.reused_with_former) == (0, 0)


def test_who_leaves_is_named_and_still_informs_the_rest() -> None:
    world = World()
    play(study(budget=80), people(10), world)
    before = world.evaluated
    plan, (result,) = play(study(budget=80, design="a_optimal"), people(10, left=[3]), world)
    assert plan.archive.former_names == ("c03",)
    assert result.reused_with_former > 0 and len(result.credits.values) == 9
    assert world.evaluated - before < 80
    exact = result.credits.grand - result.credits.empty
    assert result.credits.values.sum() == pytest.approx(exact, rel=0.05)


def test_a_coalition_that_diverged_is_not_picked_again() -> None:
    world, wanted = World(), study(budget=60, design="a_optimal")
    tolerant = wanted.model_copy(update={"execution": wanted.execution.model_copy(update={"failure_tolerance": 0.2})})
    jobs = play(wanted, people(8), World())[0].jobs
    world.failing = [frozenset(job.names) for job in jobs[-6::2]]
    plan, _ = play(tolerant, people(8), world)
    members = [job.members for job in plan.jobs if job.role != "audit"]
    assert len(set(members)) == len(members) <= 60
