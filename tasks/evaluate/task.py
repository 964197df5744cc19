"""Step 5 as Prefect tasks: one task run a coalition that the ledger does not know, a window of them at a time; or shards of
them, each a flow run on a work pool."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, Protocol
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from prefect.states import Completed, State

from infra.lease import RENEWAL
from infra.ledger import Ledger
from infra.patience import patiently_with_store
from infra.prefect_api import briefly
from infra.store import Store
from tasks.evaluate.errors import ENDS_THE_RUN, may_pass
from tasks.evaluate.failures import TooManyFailures, check_failures
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.shards.pool import ShardedPool
from tasks.evaluate.statistics import prepare_statistics as prepare
from tasks.evaluate.words import description, label, summary
from tasks.evaluate.workers import Evaluates, InProcess, ProcessPool, open_workers
from tasks.frozen import Epoch
from tasks.partition import Partition
from tasks.plan.plan import Plan, recall
from tasks.progress import clock
from tasks.recipe import Recipe
from tasks.study import Study

Workers = ProcessPool | InProcess | ShardedPool

BAR_STEPS = 200  # moves of a bar that can be seen; shards report many at once, and the API is not asked for each
BAR_SECONDS = 10.0  # a bar that has stood so long is moved however little
RETRY_SECONDS = [1.0, 10.0, 60.0]  # before each retry, the last one for all that follow


class Work(Protocol):
    """Evaluations that are being made somewhere."""

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Position and outcome of each, as they come in."""
        ...

    def give_up(self, why: str) -> None:
        """Begin nothing more."""
        ...


@task(task_run_name="reference-statistics-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def prepare_statistics(study: Study, epoch: Epoch, store: Store) -> dict[str, str | None]:
    """Reference statistics of every property, frozen for the epoch; a property that cannot be had ends the run here."""
    return prepare(study, epoch, store, get_run_logger().info)


def _worth_retrying(task: Any, run: Any, state: State[Any], *, elsewhere: bool = False) -> bool:
    """Whether what a task run raised is worth another try of it. elsewhere: see `may_pass`."""
    try:
        state.result()
    except Exception as error:
        return may_pass(error, elsewhere=elsewhere)
    return False


@task(
    task_run_name="evaluate-{label}",
    cache_policy=NO_CACHE,
    persist_result=False,  # the ledger has it; a person's own Prefect settings must not pickle it somewhere
    retry_condition_fn=_worth_retrying,
    retry_delay_seconds=RETRY_SECONDS,
)
def evaluate_coalition(job: Job, label: str, workers: Evaluates, store: Store) -> Outcome | State[Outcome]:
    """Realise one coalition and score it, in a worker. After a crash the ledger is asked first. A store that is away for a
    while is waited for, and that is no try: it would be away for all evaluations, and fail them one after another."""
    say, again = get_run_logger().info, task_run.run_count > 1

    def attempt() -> Outcome | State[Outcome]:
        nonlocal again
        if again:
            known = recall([job], Ledger(store))
            if 0 in known:
                return Completed(name="Cached", message="found in the ledger", data=known[0])
        again = True
        return workers.evaluate(job, say)

    return patiently_with_store(attempt, say, store.url)


def workers_for(
    study: Study,
    partition: Partition,
    pixels: str,
    pruned: Recipe,
    statistics: Mapping[str, str | None],
    store: Store,
    still_ours: Callable[[], None],
) -> Workers:
    """The workers of a run, to be opened with `with`: each starts when it is first needed, and stays through all rounds.
    Those of a work pool are there already, and are sent shards. still_ours: raises if the study's lease was lost."""
    setting = Setting(
        store_url=store.url,
        study=study,
        data_sha256=pixels,
        train_digests=partition.train_digests,
        ownership=partition.ownership,
        pruned_key=pruned.key,
        statistics=dict(statistics),
    )
    if study.execution.mode == "work_pool":
        return ShardedPool(setting, store, get_run_logger().info, still_ours)
    return open_workers(setting, still_ours)


def evaluate_coalitions(
    study: Study, plan: Plan, partition: Partition, workers: Workers, store: Store
) -> list[Outcome]:
    """The outcome of every job of a plan, in its order: known already, or evaluated now. Called by the flow itself, whose
    child runs the evaluations are.

    Raises:
        TooManyFailures: as soon as it is certain. What has begun on this machine is finished, and kept, first; shards on a
            work pool are cancelled, and what they finished is kept.
        WorkPoolError: if the work pool does not do any work.
        DiskFull, StoreRefused: if nothing can be stored any more.
        StoreUnavailable: if the store is away for ten minutes.
    """
    log = get_run_logger()
    outcomes: dict[int, Outcome] = dict(plan.known)
    _check(study, plan, outcomes)
    waiting = deque(plan.missing)
    work: Work
    if isinstance(workers, ShardedPool):
        ledger = Ledger(store)
        work = workers.dispatch(plan.jobs, waiting, plan.known, lambda jobs: recall(jobs, ledger))
        where = f"work pool, {workers.size} shards at a time"
    else:
        work = Here(plan.jobs, waiting, workers, store, len(partition.contributors), study.execution.retries)
        where = f"{workers.size} workers"
    if waiting:
        log.info("%d evaluations to do: %s", len(waiting), where)
    bar = _Bar(f"{plan.purpose}-{study.name}", description(study, plan), len(plan.jobs), len(plan.known), workers.size)
    for position, outcome in work.outcomes():
        outcomes[position] = outcome
        bar.move(len(outcomes), f"{len(plan.cached)} from the ledger", plan.jobs[position], outcome)
        if waiting and outcome.failures:
            try:
                _check(study, plan, outcomes)
            except TooManyFailures:
                log.error("this run has failed, whatever the others give: %d are not begun", len(waiting))
                work.give_up("too many evaluations have failed")
    if isinstance(workers, ShardedPool) and plan.missing and (remark := workers.remark()) is not None:
        log.info("%s", remark)
    _check(study, plan, outcomes)
    return [outcomes[i] for i in range(len(plan.jobs))]


def evaluate_jobs(
    study: Study, jobs: Sequence[Job], contributors: int, workers: Evaluates, store: Store
) -> tuple[list[Outcome], str | None]:
    """The outcomes of a shard's jobs, in their order, up to the first that raises in spite of its retries; and why it did.
    A failure that is on record is an outcome. What memory was refused to is not tried again in this process, whose memory is
    as it is: the driver sends it to another.

    Raises:
        DiskFull, StoreRefused, StoreUnavailable: which are no job's fault; a report would blame the one in hand.
    """
    outcomes: list[Outcome] = []
    condition = partial(_worth_retrying, elsewhere=True)
    run = evaluate_coalition.with_options(retries=study.execution.retries, retry_condition_fn=condition)
    bar = _Bar(f"shard-{study.name}", f"A shard of {len(jobs)} evaluations.", len(jobs), 0)
    for position, job in enumerate(jobs):
        try:
            # Called here, not in a thread: a run that is cancelled is told by a signal, which must reach the training.
            state = run(job, label(job, position, contributors), workers, store, return_state=True)
            outcome = state.result()
        except ENDS_THE_RUN:
            raise
        except Exception as error:  # the driver decides what becomes of it
            get_run_logger().exception("evaluation %d of %d raised; the shard ends here", position + 1, len(jobs))
            return outcomes, f"{type(error).__name__}: {error}"
        assert isinstance(outcome, Outcome)
        outcomes.append(outcome)
        bar.move(len(outcomes), f"{sum(o.cached for o in outcomes)} from the ledger", job, outcome)
    return outcomes, None


class Here:
    """Evaluations on this machine: a task run each, as many at a time as there are workers."""

    def __init__(
        self,
        jobs: Sequence[Job],
        waiting: deque[int],
        workers: InProcess | ProcessPool,
        store: Store,
        contributors: int,
        retries: int,
    ) -> None:
        self.jobs, self.waiting, self.workers, self.store = jobs, waiting, workers, store
        self._contributors, self._asked = contributors, time.monotonic()
        self._run = evaluate_coalition.with_options(retries=retries)

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """Position and outcome of each evaluation, as they come in.

        Raises:
            LeaseLost: if another run has taken the study over: what this one evaluates is paid for twice.
        """
        running: dict[PrefectFuture[Any], int] = {}
        while self.waiting or running:
            while self.waiting and len(running) < self.workers.size:
                self._check_lease()
                position = self.waiting.popleft()
                job = self.jobs[position]
                name = label(job, position, self._contributors)
                running[self._run.submit(job, name, self.workers, self.store)] = position
            future = next(as_completed(list(running)))
            position = running.pop(future)
            yield position, _outcome(self.jobs[position], future)

    def _check_lease(self) -> None:
        if time.monotonic() - self._asked >= RENEWAL:
            patiently_with_store(self.workers.still_ours, get_run_logger().info, self.store.url)
            self._asked = time.monotonic()

    def give_up(self, why: str) -> None:
        """Begin nothing more; what has begun is finished."""
        self.waiting.clear()


class _Bar:
    """How far it is: a bar in the Prefect UI, and a line in the log with the time left.

    at_once: evaluations that are made at a time. The time left is reckoned by what an evaluation took, not by the clock:
    shards report late and all at once.
    """

    def __init__(self, key: str, description: str, total: int, done: int, at_once: int = 1) -> None:
        self._total, self._at_once = total, at_once
        self._made: list[float] = []
        self._shown, self._moved = done, time.monotonic()
        self._artifact: UUID | None = None
        try:
            with briefly():  # nothing is evaluated meanwhile
                artifact = create_progress_artifact(progress=100.0 * done / total, key=key, description=description)
        except Exception as error:
            get_run_logger().warning("there is no progress in the Prefect UI: %s", error)
        else:
            assert isinstance(artifact, UUID)  # called in a synchronous flow, it is no coroutine
            self._artifact = artifact

    def move(self, done: int, found: str, job: Job, outcome: Outcome) -> None:
        """One more is done. found: how many of them were there already, in words."""
        log = get_run_logger()
        if not outcome.cached:
            self._made.append(sum(outcome.seconds.values()))
        rest = self._total - done
        left = f", {clock(fmean(self._made) * rest / min(self._at_once, rest or 1))} left" if self._made else ""
        log.info("%d of %d evaluations done (%s)%s · %s", done, self._total, found, left, summary(job, outcome))
        if self._artifact is None or not self._worth_moving(done):
            return
        self._shown, self._moved = done, time.monotonic()
        try:
            with briefly():
                update_progress_artifact(self._artifact, progress=100.0 * done / self._total)
        except Exception as error:
            # A bar that stands still, while the API is away, is no reason to lose hours of work.
            log.warning("the progress in the Prefect UI could not be moved: %s", error)

    def _worth_moving(self, done: int) -> bool:
        """Whether anybody would see it."""
        if done == self._total or (done - self._shown) * BAR_STEPS >= self._total:
            return True
        return time.monotonic() - self._moved >= BAR_SECONDS


def _check(study: Study, plan: Plan, outcomes: Mapping[int, Outcome]) -> None:
    """Raises TooManyFailures if those that are in rule a statement out."""
    check_failures(
        study, [plan.jobs[i] for i in sorted(outcomes)], [outcomes[i] for i in sorted(outcomes)], planned=len(plan.jobs)
    )


def _outcome(job: Job, future: PrefectFuture[Any]) -> Outcome:
    """What a task run came to; one that failed in spite of its retries is a failed evaluation with its reason.

    Raises:
        DiskFull, StoreRefused, StoreUnavailable, ImagesGone: which are no coalition's fault, and would be every other's too.
    """
    try:
        outcome = future.result()
    except ENDS_THE_RUN:
        raise
    except Exception as error:  # decided below, by the study's failure_tolerance, when all are in
        return Outcome(failures=dict.fromkeys(job.scores, f"{type(error).__name__}: {error}"))
    assert isinstance(outcome, Outcome)
    return outcome
