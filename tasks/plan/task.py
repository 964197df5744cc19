"""Step 4 as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.ledger import Ledger
from infra.store import Store
from tasks.partition import Partition
from tasks.plan.plan import Plan, make_plan
from tasks.properties import resolve_property
from tasks.recipe import Recipe
from tasks.study import Study


@task(task_run_name="plan-{study.name}", cache_policy=NO_CACHE)
def plan_evaluations(
    study: Study, partition: Partition, pruned: Recipe, statistics: Mapping[str, str | None], store: Store
) -> Plan:
    """Which coalitions to evaluate, which of them the ledger knows, and what a later property could be scored on."""
    log = get_run_logger()
    plan = make_plan(study, partition, pruned, statistics, Ledger(store))
    log.info(
        "%d evaluations: %d are in the ledger, %d to do; of those %d have a model already and are only scored anew",
        len(plan.jobs),
        len(plan.known),
        len(plan.missing),
        plan.trained,
    )
    needs = {resolve_property(name, study.properties).needs for name in study.properties.names}
    log.info(
        "a property added later can be scored without training on: %s",
        "the kept weights (and images drawn from them)" + (", the kept images" if "samples" in needs else "")
        if study.execution.keep_weights_below_mb > 0
        else ("the kept images only" if "samples" in needs else "nothing: no weights are kept and no images are drawn"),
    )
    return plan
