"""`evaluate-shard` with evaluations that sleep: everything else is what a worker does with a real shard."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prefect import flow
from prefect.runtime import flow_run

from infra.ledger import Ledger
from infra.settings import store_url
from infra.store import Store
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.shards.worker import evaluate, on_a_card, open_shard, same_store
from tasks.evaluate.task import evaluate_jobs
from tasks.evaluate.workers import Evaluates, InProcess, Say
from tasks.study import Study
from tests.bench.orchestration.game import fill, record


class Sleeping:
    """Sleeps, and records that it has."""

    size = 1

    def __init__(self, setting: Setting, index: int, seconds: float) -> None:
        InProcess(setting, index)  # a real one loads torch and diffusers before its first evaluation, and so do we
        self._seconds, self._ledger = seconds, Ledger(Store(setting.store_url))

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do nothing for a while."""
        time.sleep(self._seconds)
        return record(job, self._ledger, self._seconds)


@flow(name="evaluate-shard", persist_result=False)
def evaluate_shard(study: str, store: str, setting: str, shard: str, seconds: float) -> None:
    """See flows/evaluate_shard.py.

    Args:
        seconds: of each evaluation; with 0 there is no task run for each either, so that ten thousand of them take no
            time to speak of, and the driver alone is measured.
    """
    here = same_store(store, store_url())
    work = open_shard(setting, shard, here)
    with on_a_card(work.study) as card:
        how = evaluate_jobs if seconds else at_once
        evaluate(work, card, how, here, str(flow_run.id), lambda of, index: Sleeping(of, index, seconds))


def at_once(
    study: Study, jobs: Sequence[Job], contributors: int, workers: Evaluates, store: Store
) -> tuple[list[Outcome], str | None]:
    """All evaluations of a shard, many at a time."""
    fill(jobs, store, 0.0)
    return [Outcome(dict.fromkeys(job.scores, 0.5), {}, {}, trained=True, scored=1) for job in jobs], None
