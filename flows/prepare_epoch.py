"""`prepare-epoch`: what an epoch rests on, made where there is a card. Sent by `attribute`, never by people."""

from __future__ import annotations

from prefect import flow

from infra.settings import store_url
from tasks.evaluate.shards.worker import on_a_card, same_store
from tasks.evaluate.task import prepare_statistics
from tasks.model.task import prune_reference, sample_reference, train_reference
from tasks.partition.task import partition_data
from tasks.study import Study


@flow(
    name="prepare-epoch",
    flow_run_name="prepare-epoch-{study.name}",
    description="Sent by `attribute`: reference statistics, reference model and pruned model, made on one card.",
    persist_result=False,
)
def prepare_epoch(study: Study, store: str) -> None:
    """Make what all evaluations of a study rest on, where it is not in the store yet.

    Args:
        study: the study that is being run.
        store: the store that the run uses which sent this; this worker's CREDIT_STORE must be the same.
    """
    here = same_store(store, store_url())
    partition, data, _ = partition_data(study, here)
    with on_a_card(study):
        prepare_statistics(study, partition, data, here)
        reference = train_reference(study, partition, data, here)
        prune_reference(study, partition, data, reference, here)
        sample_reference(study, reference, here)
