"""Opting out as a Prefect task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.patience import PATIENCE
from infra.prefect_api import patiently
from infra.store import Store
from infra.work_pool_server import not_over
from infra.work_pool_types import WorkUnderWay, store_tag
from tasks.opt_out.remove import come_back, opt_out
from tasks.opt_out.text import lines, page, summary
from tasks.opt_out.types import Left


@task(task_run_name="opt-out", cache_policy=NO_CACHE, persist_result=False)
def leave_or_return(store: Store, contributor: str, by: str, returning: bool, unknown_name: bool, holder: str) -> Left:
    """Do it, and say what went and what stays.

    Raises:
        WorkUnderWay: if work that was sent to a work pool for this store is not over; nothing was removed.
        ValueError, LeaseHeld, LeaseLost, StoreError: as `opt_out` and `come_back`.
    """
    log = get_run_logger()
    if returning:
        left = come_back(store, contributor, by, holder)
    else:
        left = opt_out(
            store, contributor, by, holder, log.info, unknown=unknown_name, first=partial(_check_idle, store, log.info)
        )
    create_markdown_artifact(page(left), key="opt-out", description=summary(left))
    log.info("%s\n\n%s\n", summary(left), lines(left))
    return left


def _check_idle(store: Store, say: Callable[[str], None]) -> None:
    """A driver that was killed holds no lease, but what it sent to a pool goes on, and would write anew what is removed."""
    tag = store_tag(store.url)
    if count := patiently(partial(not_over, tag), say, PATIENCE):
        raise WorkUnderWay(
            f"{count} flow {'run that works' if count == 1 else 'runs that work'} on {store.url} in a work pool "
            f"{'is' if count == 1 else 'are'} not over, and could write again what is to go. Nothing was removed. "
            f"Wait until they have ended, or cancel them in the UI (Runs, tag {tag}); then opt out again. "
            "One that stays Cancelling because its machine is gone can be deleted there"
        )
