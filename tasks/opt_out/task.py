"""Opting out as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.opt_out.remove import come_back, opt_out
from tasks.opt_out.text import lines, page, summary
from tasks.opt_out.types import Left


@task(task_run_name="opt-out", cache_policy=NO_CACHE, persist_result=False)
def leave_or_return(store: Store, contributor: str, by: str, returning: bool, unknown_name: bool, holder: str) -> Left:
    """Do it, and say what went and what stays."""
    log = get_run_logger()
    if returning:
        left = come_back(store, contributor, by, holder)
    else:
        left = opt_out(store, contributor, by, holder, log.info, unknown=unknown_name)
    create_markdown_artifact(page(left), key="opt-out", description=summary(left))
    log.info("%s\n\n%s\n", summary(left), lines(left))
    return left
