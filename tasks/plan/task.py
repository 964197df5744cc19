"""Step 4 as Prefect tasks: the first round, and after each round the question whether there is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.ledger import Ledger, ModelRecord
from infra.prefect_api import briefly, show
from infra.store import Store
from tasks.evaluate.jobs import Outcome
from tasks.partition import Partition
from tasks.plan.course import go_on
from tasks.plan.former import earlier_contributors
from tasks.plan.plan import Plan, make_plan
from tasks.progress import clock
from tasks.properties import resolve_property
from tasks.publish import PropertyResult
from tasks.publish.rounds import rounds_table, say_round
from tasks.recipe import Recipe, coalition_training
from tasks.reference.pruned import pruning_table
from tasks.study import Study


@task(task_run_name="plan-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def plan_evaluations(
    study: Study, partition: Partition, pruned: Recipe, statistics: Mapping[str, str | None], store: Store
) -> Plan:
    """Which coalitions to evaluate first, which of them the ledger knows, and what a later property could be scored on."""
    log = get_run_logger()
    ledger = Ledger(store)
    plan = make_plan(study, partition, pruned, statistics, ledger, earlier_contributors(store, study.name))
    _say_plan(plan, study, pruned, ledger)
    if study.estimation.in_rounds:
        log.info("this is the first round; at most %d evaluations are asked for in all", study.estimation.budget)
    archive = plan.archive
    if archive.jobs:
        log.info(
            "%d evaluations of earlier runs are used as well%s",
            len(archive.jobs),
            f"; {archive.former_rows.any(axis=1).sum()} of them hold images of {', '.join(archive.former_names)}, who left"
            if archive.former
            else "",
        )
    for why, count in archive.ignored.items():
        log.info("%d evaluations in the ledger are not used: %s", count, why)
    needs = {resolve_property(name, study.properties).needs for name in study.properties.names}
    log.info(
        "a property added later can be scored without training on: %s",
        "the kept weights (and images drawn from them)" + (", the kept images" if "samples" in needs else "")
        if study.execution.keep_weights_below_mb > 0
        else ("the kept images only" if "samples" in needs else "nothing: no weights are kept and no images are drawn"),
    )
    return plan


@task(task_run_name="enough-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def enough_or_more(
    study: Study,
    partition: Partition,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    store: Store,
    plan: Plan,
    outcomes: Sequence[Outcome],
    results: Sequence[PropertyResult],
) -> Plan:
    """How sure the credits are by now, for people to see; and the next round, unless that is enough or all there can be."""
    log = get_run_logger()
    ledger = Ledger(store)
    plan = go_on(study, partition, pruned, statistics, ledger, plan, outcomes, results, say=log.info)
    for line in say_round(plan.rounds[-1], study.estimation.stop_level):
        log.info("%s", line)
    rounds = partial(
        create_table_artifact,
        rounds_table(plan.rounds, study.estimation.stop_level),
        key=f"estimation-{study.name}",
        description=plan.ended.sentence if plan.ended is not None else "The study goes on with another round.",
    )
    with briefly():  # the next round waits
        show(rounds, "the table of rounds", log.warning)
    if plan.ended is not None:
        log.info("%s", plan.ended.sentence)
    else:
        _say_plan(plan, study, pruned, ledger)
    return plan


def _say_plan(plan: Plan, study: Study, pruned: Recipe, ledger: Ledger) -> None:
    """What a round costs."""
    log = get_run_logger()
    before = len(plan.jobs) - len(plan.cached) - len(plan.missing)
    log.info(
        "%d evaluations%s: %d are in the ledger, %d to do; of those %d need no training, they are only drawn or scored anew",
        len(plan.jobs),
        f", {before} done in this run" if before else "",
        len(plan.cached),
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
