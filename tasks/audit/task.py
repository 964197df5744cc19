"""The audit with Prefect: its evaluations are task runs of the flow, or shards on a work pool, as all others are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prefect.logging import get_run_logger

from infra.ledger import Ledger
from infra.store import Store
from tasks.audit.coalitions import audit_plan, audited_coalitions, retraining
from tasks.audit.judge import Evaluated, judge, measured_noise
from tasks.audit.types import ContributorAudit
from tasks.evaluate.jobs import Outcome
from tasks.evaluate.task import evaluate_coalitions, workers_for
from tasks.partition import Partition
from tasks.plan.plan import Plan
from tasks.publish.audit import say_audit
from tasks.publish.types import PropertyResult
from tasks.recipe import Recipe
from tasks.study import Study


def audit_contributors(
    study: Study,
    partition: Partition,
    pixels: str,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    store: Store,
    still_ours: Callable[[], None],
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
) -> tuple[ContributorAudit, ...]:
    """Check the credits of the contributors that the study names. Called by the flow itself, whose child runs the
    evaluations are.

    Args:
        plan, outcomes, results: of the study, finished. still_ours: raises if the study's lease was lost.

    Raises:
        TooManyFailures, WorkPoolError: as `evaluate_coalitions`.
    """
    log = get_run_logger()
    audited = audited_coalitions(study, partition)

    def evaluated(how: Study) -> Evaluated:
        asked = audit_plan(how, partition, pruned, statistics, Ledger(store), audited)
        by = "retraining" if how.coalition.mode == "retrain" else "fine-tuning"
        log.info(
            "audit of %d contributors, by %s: %d evaluations, %d of them in the ledger",
            len(audited),
            by,
            len(asked.jobs),
            len(asked.cached),
        )
        if not asked.missing:
            return asked, [asked.known[i] for i in range(len(asked.jobs))]
        with workers_for(how, partition, pixels, pruned, statistics, store, still_ours) as workers:
            return asked, evaluate_coalitions(how, asked, partition, workers, store)

    noise = measured_noise(study, plan.jobs, outcomes)
    found = judge(study, partition, audited, evaluated(study), evaluated(retraining(study)), results, noise)
    for line in say_audit(found):
        log.info("%s", line)
    return found
