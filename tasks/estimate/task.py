"""Step 6 as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from tasks.estimate.results import property_results
from tasks.evaluate.jobs import Outcome
from tasks.partition import Partition
from tasks.plan.plan import Plan
from tasks.publish import PropertyResult
from tasks.study import Study


@task(task_run_name="estimate-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def estimate_credits(
    study: Study, partition: Partition, plan: Plan, outcomes: Sequence[Outcome]
) -> tuple[PropertyResult, ...]:
    """Shapley values of every property, with their uncertainty."""
    log = get_run_logger()
    results = property_results(study, partition, plan.jobs, outcomes, plan.archive, plan.sizes, say=log.info)
    for result in results:
        log.info(
            "%s: estimator %s on %d coalitions%s; spread between coalitions %.3g, noise of a repeat %s",
            result.name,
            result.credits.estimator,
            result.credits.n_evaluations,
            f" ({result.reused} of them reused)" if result.reused else "",
            result.spread,
            "not measured" if result.seed_noise is None else f"{result.seed_noise:.3g}",
        )
    return results
