"""`history`: each contributor's credit over time, from every statement of a study."""

from __future__ import annotations

from prefect import flow

from infra.cancelled import end_when_cancelled, say_cancelled
from infra.settings import store_url
from infra.store import Store
from tasks.statements.task import publish_history, read_history


@flow(
    name="history",
    flow_run_name="history-{study}",
    description="Draws each contributor's credit over time, from every statement of a study. Computes no credit.",
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def history(study: str) -> str:
    """Draw each contributor's credit over time, with its interval.

    Args:
        study: name of a study that has published statements.

    Returns:
        Where the page is. It is replaced each time; statements never are.
    """
    store = Store(store_url())
    found = read_history(study, store)
    return publish_history(found, store)
