"""`reattribute`: credits again, for who has joined, left or changed since the last statement; at a part of the cost."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from flows.attribute import WAITING_THREADS, announce_run, credit
from infra.cancelled import end_when_cancelled, say_cancelled
from infra.lease import Lease, LeaseHeld
from infra.settings import store_url
from infra.store import Store
from tasks.epoch.task import check_work_pool
from tasks.partition.task import partition_data
from tasks.preview.task import preview_run
from tasks.progress import Stopwatch
from tasks.reattribute.task import what_is_new
from tasks.reattribute.waiting import wait_until_free
from tasks.study import Study


@flow(
    name="reattribute",
    flow_run_name="reattribute-{study.name}",
    description="Credits again, for who has joined, left or changed since the last statement; at a part of the cost.",
    task_runner=WAITING_THREADS,
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def reattribute(study: Study, new_epoch: bool = False, event: dict[str, Any] | None = None) -> str:
    """Credit contributors again, as far as anything has changed since the last statement.

    Args:
        study: as `attribute` takes it. Inside an epoch only a part of its budget is evaluated anew: epoch.increment.
        new_epoch: make reference and pruned model anew from today's images, whatever the study's rule says.
        event: what woke this run, for the log; filled in by the trigger.

    Returns:
        Where the statement is: the new one, or the last one if nothing has changed.
    """
    store, log = Store(store_url()), get_run_logger()
    store.check()
    check_work_pool(study)
    run = announce_run(study, store)
    if event:
        log.info("woken by %r", event)
    while True:
        wait_until_free(store, study.name, log.info)
        try:
            with Lease(store, study.name, f"flow run {flow_run.name} ({flow_run.id})") as lease:
                clock = Stopwatch()
                read = clock("partition", partition_data, study, store)
                partition, data, _ = read
                news = clock("news", what_is_new, study, partition, data, store, new_epoch)
                if news.why is None:
                    assert news.last is not None  # nothing to do means that there is a statement which stands
                    return store.where(news.last.where)
                clock("preview", preview_run, news.study, partition, data, store, new_epoch)
                return credit(news.study, run, new_epoch, read, store, lease, clock)
        except LeaseHeld as held:  # another run was quicker by a moment: what is left to do then is asked anew
            log.info("%s", held)
