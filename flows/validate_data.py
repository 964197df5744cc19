"""`validate-data`: is this data set sound, and what would a run of the study do and cost, before anything is spent?"""

from __future__ import annotations

from prefect import flow

from infra.cancelled import end_when_cancelled, say_cancelled
from infra.settings import store_url
from infra.store import Store
from tasks.partition.task import read_data
from tasks.preview import Preview
from tasks.preview.task import preview_run
from tasks.study import Study


@flow(
    name="validate-data",
    flow_run_name="validate-data-{study.name}",
    description="Checks the images, and says what a run would do and cost. Trains nothing, stores nothing.",
    persist_result=False,
    on_running=[end_when_cancelled],
    on_crashed=[say_cancelled],
)
def validate_data(study: Study) -> Preview:
    """Check the data of a study, and say what a run would do and cost, before anything is spent.

    Args:
        study: the study that would be run, as `attribute` takes it.

    Returns:
        What was found: contributors, problems, evaluations to do, hours, bytes; None where something was never measured.
    """
    store = Store(store_url())
    store.list("leases")  # a store that cannot be read says so before the images are read
    partition, data = read_data(study)
    return preview_run(study, partition, data, store)
