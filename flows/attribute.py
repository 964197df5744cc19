"""`attribute`: from images with owners to a published statement of credits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from infra.cancelled import end_when_cancelled, say_cancelled
from infra.lease import Lease
from infra.settings import store_url
from infra.store import Store
from tasks.audit.coalitions import check_audit
from tasks.audit.task import audit_contributors
from tasks.audit.types import ContributorAudit
from tasks.epoch.task import check_work_pool, choose_epoch, prepare_epoch_on_pool
from tasks.estimate.task import estimate_credits
from tasks.evaluate.task import evaluate_coalitions, prepare_statistics, workers_for
from tasks.partition import Partition
from tasks.partition.task import partition_data
from tasks.plan.design import check_budget
from tasks.plan.task import enough_or_more, plan_evaluations
from tasks.progress import Stopwatch
from tasks.publish.statement_data import collect
from tasks.publish.storage import remove_unfinished
from tasks.publish.task import publish_statement
from tasks.recipe import Recipe
from tasks.reference.task import prune_reference, sample_reference, train_reference
from tasks.statements.task import last_statement
from tasks.study import Study
from tasks.validate.standing import standing_validation

# Threads that each wait for one worker process.
WAITING_THREADS: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=256)


@flow(
    name="attribute",
    flow_run_name="attribute-{study.name}",
    description="Which contributors made this diffusion model good, by how much, and how sure is that?",
    task_runner=WAITING_THREADS,
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def attribute(study: Study, new_epoch: bool = False) -> str:
    """Credit the data contributors of a diffusion model.

    Args:
        study: what to credit and how; every field has a default, and deployments/studies has whole examples.
        new_epoch: make reference and pruned model anew from today's images, whatever the study's rule says. Nothing that was
            evaluated before can then be used again.

    Returns:
        Where the statement is.
    """
    store = Store(store_url())
    store.check()  # wrong credentials or a missing bucket end the run here, not after the reference is trained
    check_work_pool(study)
    run = announce_run(study, store)
    with Lease(store, study.name, f"flow run {flow_run.name} ({flow_run.id})") as lease:
        clock = Stopwatch()
        read = clock("partition", partition_data, study, store)
        return credit(study, run, new_epoch, read, store, lease, clock)


def announce_run(study: Study, store: Store) -> str:
    """Say what is run, and on which store. Returns what the statement's run will be called."""
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{str(flow_run.id)[:8]}"
    get_run_logger().info("study '%s', run %s, store %s", study.name, run, store.url)
    return run


def credit(
    study: Study,
    run: str,
    new_epoch: bool,
    read: tuple[Partition, Recipe, str],
    store: Store,
    lease: Lease,
    clock: Stopwatch,
) -> str:
    """The steps from images to a statement, for whoever holds the study's lease; part of the flow that calls it.

    Args:
        run: the statement's, as `announce_run` gave it.
        read: what `partition_data` gave: whoever has judged the data credits these and no others.
    """
    log = get_run_logger()
    for unfinished in remove_unfinished(study.name, store):
        log.warning("run %s was killed while it published; its half statement was removed", unfinished)
    partition, data, pixels = read
    before = clock("last_statement", last_statement, study, partition, store)
    check_budget(study, partition)  # one that identifies nothing is refused before anything is trained
    check_audit(study, partition)  # so is a name to audit that nobody has
    epoch = clock("epoch", choose_epoch, study, partition, data, pixels, store, new_epoch)
    clock("prepare_epoch", prepare_epoch_on_pool, study, epoch, store)  # the steps that follow find what it made
    statistics = clock("statistics", prepare_statistics, study, epoch, store)
    reference = clock("train_reference", train_reference, study, epoch, store)
    pruned = clock("prune", prune_reference, study, epoch, reference, store)
    plan = clock("plan", plan_evaluations, study, partition, pruned[0], statistics, store)
    with workers_for(study, partition, pixels, pruned[0], statistics, store, lease.check) as workers:
        while plan.unfinished:  # one round: evaluate, estimate, enough?
            outcomes = clock("evaluate", evaluate_coalitions, study, plan, partition, workers, store)
            results = clock("estimate", estimate_credits, study, partition, plan, outcomes)
            plan = clock(
                "plan", enough_or_more, study, partition, pruned[0], statistics, store, plan, outcomes, results
            )
    audits: tuple[ContributorAudit, ...] = ()
    if study.audit.contributors:
        world = study, partition, pixels, pruned[0], statistics, store, lease.check
        audits = clock("audit", audit_contributors, *world, plan, outcomes, results)
    shown = clock("sample_reference", sample_reference, study, reference, store)
    statement = collect(
        study,
        run,
        partition,
        data,
        epoch,
        statistics,
        reference,
        pruned,
        plan,
        outcomes,
        results,
        shown,
        clock.seconds,
        before,
        audits,
        standing_validation(study, [c.name for c in partition.contributors], store, log.warning),
    )
    return publish_statement(statement, store, lease.check)
