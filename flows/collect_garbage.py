"""`collect-garbage`: what in the store does no kept statement need? Says so, and deletes it when told."""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from infra.cancelled import end_when_cancelled, say_cancelled
from infra.settings import store_url
from infra.store import Store
from tasks.housekeeping import Cleared
from tasks.housekeeping.task import keep_house
from tasks.housekeeping.types import Rules, Statements


@flow(
    name="collect-garbage",
    description="Lists, and when told deletes, weights and images that no kept statement needs. Statements, epochs' "
    "records and the ledger are never deleted.",
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def collect_garbage(
    keep_studies: tuple[str, ...] = (),
    keep_statements: Statements = "all",
    retired_epochs: bool = False,
    older_than_days: float = 7.0,
    delete: bool = False,
) -> Cleared:
    """List what no kept statement needs; delete it if told to.

    Args:
        keep_studies: studies whose statements keep the weights and images they rest on; none named means every study.
        keep_statements: of these, all statements of a study, or its latest only.
        retired_epochs: also let go of references, pruned models and statistics on which no kept statement rests. Made
            again they may come out otherwise, and then nothing can be added to their evaluations any more. Those with
            evaluations that no statement of any study tells of yet, of a run that was killed, are kept.
        older_than_days: whatever was written since is kept.
        delete: delete what can go. Refused while any study is being run.

    Returns:
        What can go, or went, by kind and reason.
    """
    rules = Rules(tuple(keep_studies), keep_statements, retired_epochs, older_than_days)
    return keep_house(Store(store_url()), rules, delete, f"flow run {flow_run.name} ({flow_run.id})")
