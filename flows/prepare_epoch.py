"""`prepare-epoch`: what an epoch rests on, made where there is a card. Sent by `attribute`, never by people."""

from __future__ import annotations

from prefect import flow

from infra.cancelled import end_when_sent_again, say_cancelled
from infra.settings import store_url
from tasks.epoch.current import check_keys, epoch_of_number
from tasks.evaluate.shards.worker import on_a_card, same_store
from tasks.evaluate.task import prepare_statistics
from tasks.reference.task import prune_reference, sample_reference, train_reference
from tasks.study import Study


@flow(
    name="prepare-epoch",
    flow_run_name="prepare-epoch-{study.name}",
    description="Sent by `attribute`: reference statistics, reference model and pruned model, made on one card.",
    persist_result=False,
    on_running=[end_when_sent_again],
    on_crashed=[say_cancelled],
)
def prepare_epoch(study: Study, epoch: int, store: str, reference: str = "", pruned: str = "") -> None:
    """Make what all evaluations of a study rest on, where it is not in the store yet.

    Args:
        study: the study that is being run.
        epoch: number of the study's epoch; its images are in the store, data.url is not read.
        store: the store that the run uses which sent this; this worker's CREDIT_STORE must be the same.
        reference, pruned: keys of the models that the run needs; a worker on which model.pretrained or model.autoencoder
            is something else would make others, and makes nothing. Empty: not compared.
    """
    here = same_store(store, store_url())
    frozen = epoch_of_number(study, epoch, here)
    check_keys(study, frozen.data, reference, pruned)
    with on_a_card(study):
        prepare_statistics(study, frozen, here)
        trained = train_reference(study, frozen, here)
        prune_reference(study, frozen, trained, here)
        sample_reference(study, trained, here)
