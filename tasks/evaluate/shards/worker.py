"""A shard on its worker: fetch it, take a card, evaluate, report."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from infra.cards import free_card
from infra.store import Store, StoreError
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.shards.messages import load_setting, load_shard, save_report
from tasks.evaluate.workers import Evaluates, InProcess
from tasks.model.threads import cards, device_of
from tasks.study import Study

log = logging.getLogger(__name__)

EvaluateJobs = Callable[[Study, Sequence[Job], int, Evaluates, Store], tuple[list[Outcome], str | None]]
MakeWorkers = Callable[[Setting, int], Evaluates]


@dataclass(frozen=True)
class Shard:
    """What one flow run has to do. began: `time.monotonic` when it was asked for."""

    digest: str
    setting: Setting
    jobs: tuple[Job, ...]
    began: float

    @property
    def study(self) -> Study:
        """The study that it belongs to."""
        return self.setting.study


def same_store(theirs: str, ours: str) -> Store:
    """This worker's store, if it is the one that the sender uses.

    Raises:
        StoreError: if it is another one; names both.
    """
    store = Store(ours)
    if store.url != theirs:
        raise StoreError(
            f"this worker keeps results in {store.url}, the run that sent this work in {theirs}: set CREDIT_STORE to the "
            "same place in the work pools of both (infra/templates), or start their workers with the same CREDIT_STORE"
        )
    return store


def open_shard(setting: str, shard: str, store: Store) -> Shard:
    """The shard of this digest, from the store.

    Raises:
        StoreError: if it is not there, damaged, or of another version.
    """
    began = time.monotonic()
    try:
        return Shard(shard, load_setting(setting, store), load_shard(shard, store), began)
    except FileNotFoundError as error:
        raise StoreError(
            f"the work that was sent is not in {store.url} as this worker sees it ({error}): compare AWS_ENDPOINT_URL_S3 "
            "here with that of the machine of `attribute`; buckets of two servers may have the same name"
        ) from error


@contextlib.contextmanager
def on_a_card(study: Study) -> Iterator[int]:
    """A card of this machine that no other run has, as torch's current one: its number; 0 where work is done on a CPU."""
    names = cards(study.execution.device)
    with free_card(names, log.warning) as card:
        if names:
            torch.cuda.set_device(card)
        yield card


def evaluate(
    shard: Shard,
    card: int,
    evaluate_jobs: EvaluateJobs,
    store: Store,
    run: str,
    make_workers: MakeWorkers = InProcess,
) -> list[Outcome]:
    """Evaluate the jobs, and report under `run`, the flow run's id. Nobody reads half a report: one that is not there means
    that the ledger is asked for what was finished.

    evaluate_jobs stops at the first job that raises: after an error of a card nothing that this process computes can be
    trusted to work, so the rest is for another one.
    """
    workers = make_workers(shard.setting, card)
    ready = time.monotonic()
    outcomes, stopped = evaluate_jobs(shard.study, shard.jobs, shard.setting.ownership.shape[1], workers, store)
    save_report(
        run,
        shard.digest,
        outcomes,
        worker=f"{socket.gethostname()}, {device_of(shard.study.execution.device, card)}",
        loading=ready - shard.began,
        working=time.monotonic() - ready,
        store=store,
        stopped=stopped,
    )
    return outcomes
