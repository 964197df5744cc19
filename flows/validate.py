"""`validate`: are a study's credits right? They are held against models retrained from scratch, and against baselines."""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from flows.attribute import WAITING_THREADS, announce_run
from infra.cancelled import end_when_cancelled, say_cancelled
from infra.lease import Lease
from infra.settings import store_url
from infra.store import Store
from tasks.epoch.task import check_work_pool, choose_epoch, prepare_epoch_on_pool
from tasks.estimate.task import estimate_credits
from tasks.evaluate.task import evaluate_coalitions, prepare_statistics, workers_for
from tasks.partition.task import partition_data
from tasks.plan.design import check_budget
from tasks.plan.task import enough_or_more, plan_evaluations
from tasks.reference.task import prune_reference, train_reference
from tasks.study import Study
from tasks.validate.publish import publish_validation
from tasks.validate.task import Prover, prove
from tasks.validate.worlds import check_provable, chosen_coalitions
from tasks.validation_spec import ValidationSpec


@flow(
    name="validate",
    flow_run_name="validate-{study.name}",
    description="Are these credits right? Retrains coalitions from scratch, which takes many times as long as the study.",
    task_runner=WAITING_THREADS,
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def validate(study: Study, validation: ValidationSpec | None = None) -> str:
    """Prove, or disprove, a study's credits.

    Args:
        study: as it is credited; its evaluations are found in the ledger, or made first.
        validation: how much is retrained, and what is compared.

    Returns:
        Where the page is.
    """
    asked = validation or ValidationSpec()
    store = Store(store_url())
    store.check()
    check_work_pool(study)
    check_provable(study)
    # What an earlier proof made in the study's own way must not count among the evaluations that credits rest on: they are
    # the coalitions that credits are tested on.
    study = study.model_copy(update={"estimation": study.estimation.model_copy(update={"reuse": False})})
    run = announce_run(study, store)
    holder = f"flow run {flow_run.name} ({flow_run.id})"
    with Lease(store, study.name, holder) as lease:
        partition, data, pixels = partition_data(study, store)
        check_budget(study, partition)
        chosen_coalitions(study, len(partition.contributors), asked)  # says now what cannot be asked
        epoch = choose_epoch(study, partition, data, pixels, store)
        prepare_epoch_on_pool(study, epoch, store)
        statistics = prepare_statistics(study, epoch, store)
        reference = train_reference(study, epoch, store)
        pruned = prune_reference(study, epoch, reference, store)[0]
        plan = plan_evaluations(study, partition, pruned, statistics, store)
        with workers_for(study, partition, pixels, pruned, statistics, store, lease.check) as workers:
            while plan.unfinished:
                outcomes = evaluate_coalitions(study, plan, partition, workers, store)
                results = estimate_credits(study, partition, plan, outcomes)
                plan = enough_or_more(study, partition, pruned, statistics, store, plan, outcomes, results)
    # From here on it is no run of the study: statements must not wait for it for days.
    with Lease(store, f"{study.name}.validation", holder) as lease:
        prover = Prover(partition, pixels, epoch, reference, statistics, store, lease.check)
        found = prove(study, asked, run, prover, pruned, plan, outcomes, results)
        return publish_validation(found, store, lease.check)
