"""`evaluate-shard`: a worker of the GPU pool evaluates some coalitions of a study. Sent by `attribute`, never by people."""

from __future__ import annotations

from prefect import flow
from prefect.runtime import flow_run

from infra.cancelled import end_when_sent_again, say_cancelled
from infra.settings import store_url
from tasks.evaluate.shards.worker import evaluate, on_a_card, open_shard, same_store
from tasks.evaluate.task import evaluate_jobs


@flow(
    name="evaluate-shard",
    description="Sent by `attribute`: evaluates some coalitions on one card, one after another.",
    persist_result=False,
    on_running=[end_when_sent_again],
    on_crashed=[say_cancelled],
)
def evaluate_shard(study: str, store: str, setting: str, shard: str) -> None:
    """Evaluate the coalitions of one shard, and report what became of them.

    Args:
        study: name of the study, for people.
        store: the store that the run uses which sent this; this worker's CREDIT_STORE must be the same.
        setting: sha256 of what all shards of that run have in common.
        shard: sha256 of the list of evaluations.
    """
    here = same_store(store, store_url())
    work = open_shard(setting, shard, here)
    with on_a_card(work.study) as card:
        evaluate(work, card, evaluate_jobs, here, str(flow_run.id))
