"""From evaluations to credits: noise, failures, and what a missing evaluation may and may not do."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from tasks.estimate import TooManyFailures, measure_noise, property_results
from tasks.evaluate.jobs import Job, Outcome, Role
from tasks.partition import Contributor, Partition
from tasks.recipe import Recipe
from tasks.study import Study

NAMES = ("ada", "bob", "cyd", "dan")
STUDY = Study.model_validate({"properties": {"names": ["heldout_loss"]}, "execution": {"failure_tolerance": 0.2}})


def people() -> Partition:
    contributors = tuple(Contributor(n, 10.0, 2.0, 0.25, n * 16) for n in NAMES)
    empty = np.zeros((0, 2, 2, 3), dtype=np.uint8)
    return Partition(contributors, (), (), (), (), np.zeros((0, 4)), empty, empty)


def job(members: tuple[int, ...], role: Role, seed: int = 0) -> Job:
    nothing = Recipe("model", {})
    return Job(members, tuple(NAMES[i] for i in members), role, seed, nothing, None, {"heldout_loss": nothing})


def game(loss: Callable[[tuple[int, ...]], float]) -> tuple[list[Job], list[Outcome]]:
    rows = [s for size in range(5) for s in itertools.combinations(range(4), size)]
    jobs = [job(s, "baseline" if not s else "grand" if len(s) == 4 else "design") for s in rows]
    return jobs, [Outcome(values={"heldout_loss": loss(s)}) for s in rows]


def test_less_loss_is_more_credit() -> None:
    jobs, outcomes = game(lambda s: 1.0 - 0.1 * sum(i + 1 for i in s))
    (result,) = property_results(STUDY, people(), jobs, outcomes)
    assert result.credits.values == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_each_property_is_announced_before_it_is_estimated_for_that_may_take_a_minute() -> None:
    said: list[str] = []
    jobs, outcomes = game(lambda s: 1.0 - 0.1 * len(s))
    property_results(STUDY, people(), jobs, outcomes, say=said.append)
    assert said == ["estimating heldout_loss …"]


def test_noise_leaves_out_what_a_seed_does_to_all_coalitions_alike() -> None:
    rows, seeds = [(0,), (0, 1), (0, 1, 2, 3)], (0, 1, 2)
    shift = {0: 0.0, 1: 5.0, 2: -3.0}
    jobs = [job(s, "design" if seed == 0 else "audit", seed) for s in rows for seed in seeds]
    outcomes = [Outcome(values={"heldout_loss": len(j.members) + shift[j.seed]}) for j in jobs]
    noise = measure_noise("heldout_loss", jobs, outcomes)
    assert noise.sd == pytest.approx(0.0, abs=1e-12) and noise.correlation == pytest.approx(1.0)
    assert noise.coalitions == 3


def test_noise_is_estimated_without_bias_from_a_two_way_layout() -> None:
    rng, squares = np.random.default_rng(0), []
    rows, seeds = [(0,), (1, 2), (0, 1, 2), (0, 1, 2, 3)], (0, 1, 2)
    jobs = [job(s, "design" if seed == 0 else "audit", seed) for s in rows for seed in seeds]
    for _ in range(400):
        outcomes = [Outcome(values={"heldout_loss": len(j.members) + 0.5 * rng.standard_normal()}) for j in jobs]
        sd = measure_noise("heldout_loss", jobs, outcomes).sd
        assert sd is not None
        squares.append(sd**2)
    assert np.mean(squares) == pytest.approx(0.25, rel=0.1)


def test_without_repeats_there_is_no_noise_figure() -> None:
    jobs, outcomes = game(lambda s: float(len(s)))
    noise = measure_noise("heldout_loss", jobs, outcomes)
    assert noise.sd is None and noise.correlation is None


def test_a_failed_evaluation_within_tolerance_is_left_out_of_the_estimate() -> None:
    jobs, outcomes = game(lambda s: 1.0 - 0.1 * sum(i + 1 for i in s))
    outcomes[5] = Outcome(failures={"heldout_loss": "diverged"})
    (result,) = property_results(STUDY, people(), jobs, outcomes)
    assert result.credits.n_evaluations == 15
    assert result.credits.values == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-4)


def test_too_many_failures_end_the_run_and_are_named() -> None:
    jobs, outcomes = game(lambda s: 1.0)
    for i in range(3, 8):
        outcomes[i] = Outcome(failures={"heldout_loss": f"diverged at {i}"})
    with pytest.raises(TooManyFailures, match="5 of 16 evaluations failed") as raised:
        property_results(STUDY, people(), jobs, outcomes)
    assert "diverged at 3" in str(raised.value) and "'cyd'" in str(raised.value)


def test_the_number_of_failures_that_is_said_to_be_allowed_is_the_one_that_is() -> None:
    jobs, outcomes = game(lambda s: 1.0)
    outcomes[5] = Outcome(failures={"heldout_loss": "diverged"})
    strict = Study.model_validate({"properties": {"names": ["heldout_loss"]}, "execution": {"failure_tolerance": 0.06}})
    with pytest.raises(TooManyFailures, match=r"1 of 16 .* allows \(0\)"):  # 0.96 of an evaluation is none
        property_results(strict, people(), jobs, outcomes)


@pytest.mark.parametrize("position", [0, 15])
def test_no_credit_is_given_without_the_empty_and_the_grand_coalition(position: int) -> None:
    jobs, outcomes = game(lambda s: 1.0)
    outcomes[position] = Outcome(failures={"heldout_loss": "diverged"})
    with pytest.raises(TooManyFailures, match="empty or the grand"):
        property_results(STUDY, people(), jobs, outcomes)


def test_the_noise_that_intervals_are_made_with_is_an_upper_confidence_limit() -> None:
    rng, below = np.random.default_rng(1), 0
    rows, seeds = [(0,), (1, 2), (0, 1, 2, 3)], (0, 1, 2)
    jobs = [job(s, "design" if seed == 0 else "audit", seed) for s in rows for seed in seeds]
    for _ in range(1000):
        outcomes = [Outcome(values={"heldout_loss": 0.5 * rng.standard_normal()}) for _ in jobs]
        limit = measure_noise("heldout_loss", jobs, outcomes).cautious_variance
        assert limit is not None
        below += limit >= 0.25
    assert below / 1000 == pytest.approx(0.9, abs=0.03)
