"""Worker processes: one that fails lives on, one that is gone is replaced, and none outlives its run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tasks.evaluate.errors import WorkerDied, WorkerError, WorkerUnavailable
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.workers import ProcessPool, open_workers
from tasks.recipe import Recipe
from tasks.study import Study


def setting(folder: Path) -> Setting:
    """A store with nothing in it: whatever a worker is asked for, it cannot do."""
    study = Study.model_validate({"execution": {"workers": 1, "device": "cpu"}})
    return Setting(str(folder), study, "0" * 64, (), np.zeros((0, 2)), "0" * 64, {})


def job(name: str) -> Job:
    model = Recipe("model", {"how": {"start": "pruned"}})
    return Job((0,), ("ada",), "design", 0, model, None, {name: Recipe("score", {"of": name})})


NEEDS_THE_STORE, NEEDS_WHAT_IS_NOT_THERE = job("heldout_loss"), job("beauty")


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if "spawn_main" in " ".join(p.cmdline()) and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ProcessPool]:
    with open_workers(setting(tmp_path)) as pool:
        assert isinstance(pool, ProcessPool) and pool.size == 1
        yield pool
    assert not workers(), "a worker outlived its pool"


def test_a_failed_evaluation_keeps_its_worker_and_a_dead_worker_is_replaced(pool: ProcessPool) -> None:
    said: list[str] = []
    with pytest.raises(WorkerError, match="there is no property 'beauty'") as of_the_code:
        pool.evaluate(NEEDS_WHAT_IS_NOT_THERE, said.append)
    assert not isinstance(of_the_code.value, WorkerUnavailable)  # it would fail again
    (first,) = workers()
    with pytest.raises(WorkerUnavailable, match="knows no such pruned model"):  # a store may come back
        pool.evaluate(NEEDS_THE_STORE, said.append)
    assert workers() == [first]
    assert [line for line in said if "worker 0 started" in line] == said

    first.kill()
    first.wait()
    with pytest.raises(WorkerDied, match=f"{first.pid}.* -9"):
        pool.evaluate(NEEDS_WHAT_IS_NOT_THERE, said.append)
    with pytest.raises(WorkerError, match="beauty"):
        pool.evaluate(NEEDS_WHAT_IS_NOT_THERE, said.append)
    (second,) = workers()
    assert second.pid != first.pid


def test_leaving_the_pool_ends_a_worker_in_the_middle_of_a_coalition_and_begins_no_other(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def wait() -> None:
        for _ in range(2):  # as a task run does that is retried
            try:
                leaving.evaluate(NEEDS_WHAT_IS_NOT_THERE, print)
            except WorkerError as error:
                raised.append(error)

    with ProcessPool(setting(tmp_path), 1) as leaving:
        with pytest.raises(WorkerError):
            leaving.evaluate(NEEDS_WHAT_IS_NOT_THERE, print)
        (worker,) = workers()
        os.kill(worker.pid, signal.SIGSTOP)  # it will never answer
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.5)
        assert thread.is_alive()
    thread.join(timeout=20)
    assert not thread.is_alive(), "somebody waits for ever"
    assert "in the middle" in str(raised[0]) and "before this coalition began" in str(raised[1])
    assert not workers()


def test_a_store_in_memory_is_refused_for_worker_processes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"use execution\.mode 'inline'"):
        open_workers(Setting("memory://x", Study(), "0" * 64, (), np.zeros((0, 2)), "0" * 64, {}))
