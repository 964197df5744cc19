"""Step 4 as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.model.pruned import pruning_table
from tasks.partition import Partition
from tasks.plan.plan import Plan, make_plan
from tasks.progress import clock
from tasks.properties import resolve_property
from tasks.recipe import Recipe, coalition_training
from tasks.study import Study


@task(task_run_name="plan-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def plan_evaluations(
    study: Study, partition: Partition, pruned: Recipe, statistics: Mapping[str, str | None], store: Store
) -> Plan:
    """Which coalitions to evaluate, which of them the ledger knows, and what a later property could be scored on."""
    log = get_run_logger()
    ledger = Ledger(store)
    plan = make_plan(study, partition, pruned, statistics, ledger)
    log.info(
        "%d evaluations: %d are in the ledger, %d to do; of those %d need no training and are only scored anew",
        len(plan.jobs),
        len(plan.known),
        len(plan.missing),
        plan.trained,
    )
    record, steps = ledger.get(ModelRecord, pruned.key), coalition_training(study, study.coalition.seed).steps
    measured = [stage["seconds_per_step"] for stage in pruning_table(record)] if record is not None else []
    if measured and (anew := len(plan.missing) - plan.trained):
        log.info(
            "training the other %d takes about %s of one worker (%d steps of %.3f s each); drawing and scoring come on top",
            anew,
            clock(anew * steps * measured[-1]),
            steps,
            measured[-1],
        )
    needs = {resolve_property(name, study.properties).needs for name in study.properties.names}
    log.info(
        "a property added later can be scored without training on: %s",
        "the kept weights (and images drawn from them)" + (", the kept images" if "samples" in needs else "")
        if study.execution.keep_weights_below_mb > 0
        else ("the kept images only" if "samples" in needs else "nothing: no weights are kept and no images are drawn"),
    )
    return plan
