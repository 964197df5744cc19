"""How far a study would go from here: the coalitions that it is sure to ask for, and those that it may ask for besides.

    no stop rule     all of them are known
    a stop rule      this round is sure; the later ones are known, but may never be asked for
    a_optimal        this round is sure; how many later picks there may be is known, which they are depends on values

Where the ledger holds whole rounds already, they are estimated and judged here as `attribute` would, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from infra.ledger import Ledger
from tasks.estimate.results import property_results
from tasks.evaluate.failures import check_failures
from tasks.evaluate.jobs import Job
from tasks.partition import Partition
from tasks.plan import Plan, make_plan
from tasks.plan.course import go_on
from tasks.plan.design import distinct, images_of, next_round, picks_left
from tasks.plan.former import Earlier
from tasks.plan.plan import extend
from tasks.recipe import Recipe
from tasks.study import Study


@dataclass(frozen=True)
class Extent:
    """plan: as far as it can be made now. later: jobs of rounds to come that the ledger does not hold; later_cached: how
    many of those rounds' jobs it holds. picks: evaluations that may come besides, of which nothing more is known."""

    plan: Plan
    later: tuple[Job, ...] = ()
    later_cached: int = 0
    picks: int = 0

    @property
    def sure(self) -> tuple[Job, ...]:
        """Jobs that will be asked for and are not in the ledger."""
        return tuple(self.plan.jobs[i] for i in self.plan.missing)

    @property
    def asked(self) -> int:
        """The most evaluations that the study will have asked for in the end."""
        return len(self.plan.jobs) + len(self.later) + self.later_cached + self.picks


def foresee(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    ledger: Ledger,
    earlier: Mapping[str, Earlier],
) -> Extent:
    """Where the study stands, and how far it may go.

    Args:
        statistics: by property, the digest of its reference statistics.

    Raises:
        TooManyFailures: if what the ledger holds has failed too often for a statement, whatever is evaluated now.
    """
    plan = make_plan(study, partition, pruned, statistics, ledger, earlier)
    while study.estimation.in_rounds and plan.unfinished and not plan.missing:
        outcomes = [plan.known[i] for i in range(len(plan.jobs))]
        results = property_results(study, partition, plan.jobs, outcomes, plan.archive, plan.sizes)
        plan = go_on(study, partition, pruned, statistics, ledger, plan, outcomes, results)
    there = sorted(plan.known)
    check_failures(study, [plan.jobs[i] for i in there], [plan.known[i] for i in there], planned=len(plan.jobs))
    if not study.estimation.in_rounds or not plan.unfinished:
        return Extent(plan)
    images = images_of(partition)
    n = len(images)
    if study.estimation.design == "a_optimal":
        there_too = replace(plan, jobs=()).there(n, [])
        evaluated = distinct(np.concatenate([plan.asked(n), there_too]))
        return Extent(plan, picks=picks_left(study.estimation, evaluated, plan.draws))
    asked, draws, rounds = plan.asked(n), plan.draws, []
    while len(rows := next_round(study.estimation, images, asked, draws)):
        rounds.append(rows)
        asked, draws = np.concatenate([asked, rows]), draws + len(rows)
    if not rounds:
        return Extent(plan)
    whole = extend(plan, study, partition, pruned, statistics, ledger, np.concatenate(rounds))
    new = range(len(plan.jobs), len(whole.jobs))
    later = tuple(whole.jobs[i] for i in new if i not in whole.known)
    return Extent(plan, later, len(new) - len(later))
