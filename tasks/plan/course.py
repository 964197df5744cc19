"""After each round: how far are the credits from what the study asks for, and what is evaluated next?

A round is judged on every property; the study ends when all have reached its goal, or when there is nothing more to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from infra.ledger import Ledger
from tasks.estimate.noise import measure_noise
from tasks.estimate.observations import observations
from tasks.estimation_spec import EstimationSpec
from tasks.evaluate.jobs import Outcome
from tasks.partition import Partition
from tasks.plan.design import Coalitions, batch_size, distinct, images_of, next_round, picks_left, upcoming
from tasks.plan.plan import Plan, extend
from tasks.plan.rounds import Ending, Round, Standing
from tasks.progress import Say, silent
from tasks.publish.types import PropertyResult
from tasks.recipe import Recipe
from tasks.shapley import propose_coalitions
from tasks.shapley.stopping import AbsoluteWidth, Goal, RelativeWidth, TopSettled, forecast, judge, widest_interval
from tasks.study import Study


def goal_of(estimation: EstimationSpec) -> Goal | None:
    """What the study's stop rule asks for."""
    if estimation.stop_width is not None:
        return AbsoluteWidth(estimation.stop_width)
    if estimation.stop_relative_width is not None:
        return RelativeWidth(estimation.stop_relative_width)
    return None if estimation.stop_top is None else TopSettled(estimation.stop_top)


def go_on(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
    *,
    say: Say = silent,
) -> Plan:
    """The plan with its last round judged: with another round to evaluate, or with the reason why there is none.

    outcomes: of the plan's jobs. results: what was estimated from them. say: is told before what may take a while.
    """
    this = judge_round(study, partition, plan, outcomes, results, say=say)
    plan = replace(plan, rounds=(*plan.rounds, this))
    if study.estimation.has_stop_rule and this.enough:
        return replace(plan, ended=Ending(True, _reached(study, this)))
    rows = further_coalitions(study, partition, plan, outcomes, results)
    if len(rows):
        return extend(plan, study, partition, pruned, statistics, ledger, rows, outcomes=outcomes)
    n = len(partition.contributors)
    complete = len(distinct(np.concatenate([plan.asked(n), plan.there(n, outcomes)]))) == 2**n
    return replace(plan, ended=_spent(study, this, complete))


def judge_round(
    study: Study,
    partition: Partition,
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
    *,
    say: Say = silent,
) -> Round:
    """What the round that has just been estimated came to, with a forecast where a stop rule is not satisfied yet."""
    estimation, goal, images = study.estimation, goal_of(study.estimation), images_of(partition)
    there = distinct(plan.there(len(images), outcomes))
    absent = len(plan.sizes) - len(images)

    def propose(count: int) -> Coalitions:
        rows = upcoming(estimation, images, there, plan.draws, count)
        return np.hstack([rows, np.zeros((len(rows), absent), dtype=bool)])  # those who have left are in none of them

    standings = []
    for result in results:
        credits, level = result.credits, estimation.stop_level
        standing = Standing(result.name, result.unit, widest_interval(credits, level), credits.grand - credits.empty)
        if goal is not None:
            progress = judge(credits, goal, level)
            if not progress.enough:
                say(f"forecasting how many evaluations {result.name} will still take …")
            more = forecast(credits, goal, propose, credits.n_evaluations, level)
            standing = replace(standing, progress=progress, more=more)
        standings.append(standing)
    spent = [sum(outcome.seconds.values()) for job, outcome in zip(plan.jobs, outcomes, strict=True) if job.members]
    return Round(
        number=len(plan.rounds) + 1,
        draws=plan.draws,
        evaluated=len(plan.missing),
        reused=max((result.reused for result in results), default=0),
        seconds=float(np.median(spent)) if spent else None,
        standings=tuple(standings),
    )


def further_coalitions(
    study: Study,
    partition: Partition,
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
) -> Coalitions:
    """What to evaluate next if there is not enough: bool[k, contributors]; none where budget or coalitions end."""
    estimation, images = study.estimation, images_of(partition)
    n = len(images)
    if estimation.design != "a_optimal":
        return next_round(estimation, images, plan.asked(n), plan.draws)
    left = picks_left(estimation, distinct(plan.there(n, outcomes)), plan.draws)
    return _picks(study, n, plan, outcomes, _least_known(results), min(left, batch_size(estimation, n)))


def _least_known(results: Sequence[PropertyResult]) -> PropertyResult:
    """The property whose widest interval is the largest part of the spread between coalitions: picks are made for it, for
    a batch can be best for one property only, and the study goes on until the last has reached its goal."""
    return max(results, key=lambda r: widest_interval(r.credits) / r.spread if r.spread > 0 else 0.0)


def _picks(
    study: Study, contributors: int, plan: Plan, outcomes: Sequence[Outcome], result: PropertyResult, count: int
) -> Coalitions:
    """Coalitions that were never tried and tell most about the credits of one property."""
    if count == 0:
        return np.zeros((0, contributors), dtype=bool)
    known = observations(result.name, result.sign, contributors, plan.jobs, outcomes, plan.archive)
    tried = {row.tobytes() for row in plan.asked(contributors)}
    failed = sum(
        job.role != "audit" and result.name not in outcome.values
        for job, outcome in zip(plan.jobs, outcomes, strict=True)
    )  # they have no value, so they could be proposed again
    rows = propose_coalitions(
        len(plan.sizes),
        count + failed,
        seed=study.estimation.seed,
        sizes=plan.sizes,
        known=(known.coalitions, known.values),
        design="a_optimal",
        former=known.former if known.former.any() else None,
        noise=measure_noise(result.name, plan.jobs, outcomes).measured,
    )[:, :contributors]
    return rows[[row.tobytes() not in tried for row in rows]][:count]


def _reached(study: Study, this: Round) -> str:
    spent = f"{this.draws} of at most {study.estimation.budget} evaluations"
    return f"The stop rule is satisfied for every property after {spent}."


def _spent(study: Study, this: Round, complete: bool) -> Ending:
    end = (
        "Every coalition has been evaluated"
        if complete
        else f"The budget of {study.estimation.budget} evaluations is spent"
        + (", reused ones counted" if study.estimation.design == "a_optimal" and this.reused else "")
    )
    if not study.estimation.has_stop_rule:
        return Ending(None, f"{end}; no stop rule was set.")
    lacking = [s for s in this.standings if s.progress is not None and not s.progress.enough]
    told = "; ".join(
        f"{s.name}: {s.progress.sentence}{_wanting(s, complete)}" for s in lacking if s.progress is not None
    )
    return Ending(False, f"{end} and the stop rule is not satisfied. {told}.")


def _wanting(standing: Standing, complete: bool) -> str:
    if complete:
        return "; what is left is the noise of single evaluations, which more coalitions cannot lower"
    return "" if standing.more is None else f"; about {standing.more} more evaluations would do"
