"""Keeping house as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.housekeeping.clear import clear, look
from tasks.housekeeping.text import lines, summary, table
from tasks.housekeeping.types import Cleared, Rules


@task(task_run_name="keep-house", cache_policy=NO_CACHE, persist_result=False)
def keep_house(store: Store, rules: Rules, delete: bool, holder: str) -> Cleared:
    """Find what can go, say why, and delete it if told to."""
    log = get_run_logger()
    found = clear(store, rules, holder, log.info) if delete else look(store, rules)
    create_table_artifact(table(found), key="housekeeping", description=f"{summary(found)} Store: `{store.url}`")
    log.info("%s\n\n%s\n", summary(found), lines(found))
    return found
