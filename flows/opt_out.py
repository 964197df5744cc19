"""`opt-out`: a contributor leaves; what of theirs can go goes, and no later run uses their images until they return."""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from infra.cancelled import end_when_cancelled, say_cancelled
from infra.settings import store_url
from infra.store import Store
from tasks.opt_out import Left
from tasks.opt_out.task import leave_or_return


@flow(
    name="opt-out",
    description="A contributor leaves: their uploads, and the models and images made with them, go; says what stays until "
    "the next epoch. Or they return.",
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def opt_out(contributor: str, by: str, returning: bool = False, unknown_name: bool = False) -> Left:
    """Leave a contributor out from now on and remove what is theirs, or let them return.

    Args:
        contributor: their name, exactly as a statement has it.
        by: who asked for it, or does it; for the record.
        returning: they return instead. What was removed has to be handed in again.
        unknown_name: also if no statement and no upload has that name, for somebody whose images lie in a data folder only.

    Returns:
        What was removed, and what still holds their data.
    """
    holder = f"flow run {flow_run.name} ({flow_run.id})"
    return leave_or_return(Store(store_url()), contributor, by, returning, unknown_name, holder)
