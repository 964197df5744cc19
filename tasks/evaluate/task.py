"""Step 5 as Prefect tasks: one task run a coalition that the ledger does not know, a window of them at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from prefect.states import Completed, State

from infra.ledger import Ledger
from infra.store import Store
from tasks.evaluate.failures import TooManyFailures, check_failures
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.statistics import prepare_statistics as prepare
from tasks.evaluate.workers import Evaluates, InProcess, ProcessPool, WorkerDied, WorkerUnavailable, open_workers
from tasks.partition import Partition
from tasks.plan.plan import Plan, recall
from tasks.progress import clock
from tasks.publish.rounds import say_round
from tasks.recipe import Recipe
from tasks.study import Study

RETRY_SECONDS = [1.0, 10.0, 60.0]  # before each retry, the last one for all that follow: an absent store takes its time


@task(task_run_name="reference-statistics-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def prepare_statistics(study: Study, partition: Partition, data: Recipe, store: Store) -> dict[str, str | None]:
    """Reference statistics of every property, frozen for the epoch; a property that cannot be had ends the run here."""
    return prepare(study, partition, data, store, get_run_logger().info)


def _worth_retrying(task: Any, run: Any, state: State[Any]) -> bool:
    """A dead worker or an absent store may be better next time; an error in the code will not."""
    try:
        state.result()
    except (WorkerDied, WorkerUnavailable, OSError):
        return True
    except Exception:
        return False
    return False


@task(
    task_run_name="evaluate-{label}",
    cache_policy=NO_CACHE,
    persist_result=False,  # the ledger has it; a person's own Prefect settings must not pickle it somewhere
    retry_condition_fn=_worth_retrying,
    retry_delay_seconds=RETRY_SECONDS,
)
def evaluate_coalition(job: Job, label: str, workers: Evaluates, store: Store) -> Outcome | State[Outcome]:
    """Realise one coalition and score it, in a worker. After a crash the ledger is asked first."""
    if task_run.run_count > 1:
        known = recall([job], Ledger(store))
        if 0 in known:
            return Completed(name="Cached", message="found in the ledger", data=known[0])
    return workers.evaluate(job, get_run_logger().info)


def workers_for(
    study: Study,
    partition: Partition,
    pixels: str,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    store: Store,
) -> ProcessPool | InProcess:
    """The workers of a run, to be opened with `with`: each starts when it is first needed, and stays through all rounds."""
    setting = Setting(
        store_url=store.url,
        study=study,
        data_sha256=pixels,
        train_digests=partition.train_digests,
        ownership=partition.ownership,
        pruned_key=pruned.key,
        statistics=dict(statistics),
    )
    return open_workers(setting)


def evaluate_coalitions(
    study: Study, plan: Plan, partition: Partition, workers: Evaluates, store: Store
) -> list[Outcome]:
    """The outcome of every job of a plan, in its order: known already, or evaluated now. Called by the flow itself, whose
    child task runs the evaluations are.

    Raises:
        TooManyFailures: as soon as it is certain; what has begun is finished, and kept, first.
    """
    log = get_run_logger()
    outcomes: dict[int, Outcome] = dict(plan.known)
    _check(study, plan, outcomes)
    artifact = create_progress_artifact(
        progress=100.0 * len(plan.known) / len(plan.jobs),
        key=f"evaluations-{study.name}",
        description=_description(study, plan),
    )
    assert isinstance(artifact, UUID)  # called in a synchronous flow, it is no coroutine
    started = time.monotonic()
    if plan.missing:
        log.info("%d evaluations to do on %d workers", len(plan.missing), workers.size)
    run = evaluate_coalition.with_options(retries=study.execution.retries)
    waiting = list(reversed(plan.missing))
    running: dict[PrefectFuture[Any], int] = {}
    while waiting or running:
        while waiting and len(running) < workers.size:
            position = waiting.pop()
            job = plan.jobs[position]
            future = run.submit(job, _label(job, position, len(partition.contributors)), workers, store)
            running[future] = position
        future = next(as_completed(list(running)))
        position = running.pop(future)
        outcomes[position] = _outcome(plan.jobs[position], future)
        done = len(outcomes) - len(plan.known)
        left = (time.monotonic() - started) / done * (len(waiting) + len(running))
        log.info(
            "%d of %d evaluations done (%d from the ledger), %s left · %s",
            len(outcomes),
            len(plan.jobs),
            len(plan.cached),
            clock(left),
            _summary(plan.jobs[position], outcomes[position]),
        )
        if waiting and outcomes[position].failures:
            try:
                _check(study, plan, outcomes)
            except TooManyFailures:
                log.error("this run has failed, whatever the others give: %d are not begun", len(waiting))
                waiting.clear()
        try:
            update_progress_artifact(artifact, progress=100.0 * len(outcomes) / len(plan.jobs))
        except Exception as error:
            # A bar that stands still, while the API is away, is no reason to lose hours of work.
            log.warning("the progress in the Prefect UI could not be moved: %s", error)
    _check(study, plan, outcomes)
    return [outcomes[i] for i in range(len(plan.jobs))]


def _description(study: Study, plan: Plan) -> str:
    """What stands under the bar: how much there is to do, and with a stop rule how much there may still be."""
    said = f"{len(plan.jobs)} evaluations, {len(plan.cached)} of them found in the ledger"
    if not study.estimation.in_rounds:
        return said
    said = f"Round {len(plan.rounds) + 1}: {said}; {plan.draws} of at most {study.estimation.budget} of the budget"
    if not plan.rounds:
        return said
    return "\n\n".join([said, *say_round(plan.rounds[-1], study.estimation.stop_level)])


def _check(study: Study, plan: Plan, outcomes: Mapping[int, Outcome]) -> None:
    """Raises TooManyFailures if those that are in rule a statement out."""
    check_failures(
        study, [plan.jobs[i] for i in sorted(outcomes)], [outcomes[i] for i in sorted(outcomes)], planned=len(plan.jobs)
    )


def _outcome(job: Job, future: PrefectFuture[Any]) -> Outcome:
    """What a task run came to; one that failed in spite of its retries is a failed evaluation with its reason."""
    try:
        outcome = future.result()
    except Exception as error:  # decided below, by the study's failure_tolerance, when all are in
        return Outcome(failures=dict.fromkeys(job.scores, f"{type(error).__name__}: {error}"))
    assert isinstance(outcome, Outcome)
    return outcome


def _label(job: Job, position: int, contributors: int) -> str:
    """A task run's name: number, how many contributors, what for."""
    kind = {"baseline": "empty", "grand": "everybody"}.get(job.role, f"{len(job.members)}-of-{contributors}")
    return f"{position:04d}-{kind}" + (f"-seed-{job.seed}" if job.role == "audit" else "")


def _summary(job: Job, outcome: Outcome) -> str:
    """One line about one evaluation."""
    who = "nobody" if not job.names else f"{len(job.names)} contributors"
    values = ", ".join(f"{name} {value:.4g}" for name, value in outcome.values.items())
    failed = "; ".join(f"{name} failed: {why.partition(chr(10))[0]}" for name, why in outcome.failures.items())
    said = "; ".join(part for part in (values, failed) if part)
    return f"{who}, seed {job.seed}: {said} in {sum(outcome.seconds.values()):.1f} s"
