"""The epoch on a work pool, as a Prefect task."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.patience import patiently_with_store
from infra.store import Store
from infra.work_pool import WorkPool, places_of
from infra.work_pool_types import WorkPoolError
from tasks.epoch.choose import in_words
from tasks.epoch.current import enter_epoch, keys_of
from tasks.epoch.lacking import lacking
from tasks.evaluate.shards.pool import FLOW as SHARDS
from tasks.evaluate.shards.pool import open_pool
from tasks.frozen import Epoch
from tasks.partition import Partition
from tasks.progress import clock
from tasks.recipe import Recipe
from tasks.study import Study

FLOW = "prepare-epoch"
LOOK_EVERY = 5.0  # seconds
SAY_EVERY = 60.0  # seconds between lines about a preparation that goes on


def check_work_pool(study: Study) -> None:
    """Find out before anything is read whether the study's work pool is there.

    Raises:
        WorkPoolError: if a deployment, its pool or its queue is missing; says what to do.
    """
    if study.execution.mode == "work_pool":
        for flow in (FLOW, SHARDS):
            places_of(f"{flow}/{study.execution.deployment}", study.execution.queue)


@task(task_run_name="epoch-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def choose_epoch(
    study: Study, partition: Partition, data: Recipe, pixels: str, store: Store, new: bool = False
) -> Epoch:
    """The epoch that goes on, or a new one, with the reason in the log."""
    choice, epoch = enter_epoch(study, partition, data, pixels, store, new=new)
    get_run_logger().info("%s", in_words(choice, epoch.number))
    return epoch


@task(task_run_name="prepare-epoch-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def prepare_epoch_on_pool(study: Study, epoch: Epoch, store: Store) -> None:
    """Where work is sent to a work pool: have what the epoch rests on made there. Nothing is sent if nothing is lacking.

    Raises:
        WorkPoolError: if it was not made.
    """
    if study.execution.mode != "work_pool":
        return
    log = get_run_logger()
    missing = lacking(study, epoch.data, store)
    if not missing:
        log.info("the epoch is in the store: nothing to prepare")
        return
    log.info("to be made on the work pool first: %s", ", ".join(missing))
    with open_pool(FLOW, study, store, log.info) as pool:
        if pool.cancel_left_behind():
            log.info(
                "an earlier run that was killed left its preparation behind; it is cancelled, and goes on from here"
            )
        for attempt in range(study.execution.retries + 1):
            said = _made(study, epoch, store, pool, attempt, log.info)
            # The store may be away just then: what was made in hours is not made again for that.
            missing = patiently_with_store(partial(lacking, study, epoch.data, store), log.info, store.url)
            if not missing:
                return
            log.warning("the epoch was not made: %s", said)
    raise WorkPoolError(
        f"the work pool '{pool.name}' did not make {', '.join(missing)}: {said}. Its flow run has the log. Start the study "
        "again when the cause is removed: nothing is lost"
    )


def _made(study: Study, epoch: Epoch, store: Store, pool: WorkPool, attempt: int, say: Callable[[str], None]) -> str:
    """Send it and wait. Returns how it ended."""
    name = f"prepare-epoch-{study.name}" + (f"-again-{attempt}" if attempt else "")
    reference, pruned = keys_of(study, epoch.data)
    work = {"study": study.model_dump(mode="json"), "epoch": epoch.number, "store": store.url}
    run = pool.send(name, {**work, "reference": reference, "pruned": pruned})
    say(f"sent {name} to the work pool '{pool.name}'; its own page has its progress")
    began = said = time.monotonic()
    # However long it takes to train a reference: given up is only what is silent for infra.work_pool.LONGEST_SILENT.
    while not (ended := pool.ended()):
        if (now := time.monotonic()) - said >= SAY_EVERY:
            said = now
            say(f"{name} is still being made on the work pool '{pool.name}', for {clock(now - began)} now")
        time.sleep(LOOK_EVERY if study.execution.shard_minutes >= 5 else 1.0)
    return f"{name} ({run}) {ended[run].said}"
