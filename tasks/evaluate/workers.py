"""Worker processes on one machine: each evaluates one coalition at a time, on one thread or one card.

A worker that dies takes one coalition with it: the call that waited for it raises `WorkerDied`, and the next call gets a new
worker. A worker whose parent dies ends itself, so a killed run leaves nothing behind that goes on computing.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Protocol

import torch

from tasks.evaluate.errors import ENDS_THE_RUN, TOLD, WorkerDied, WorkerError, told, understood
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.model.threads import device_of
from tasks.study import ExecutionSpec

Say = Callable[[str], None]


class Evaluates(Protocol):
    """Something that turns a job into an outcome: a pool of processes, or this process itself."""

    size: int

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do what is missing of a job."""
        ...


class ProcessPool:
    """`size` places for worker processes, each filled when first needed. `evaluate` may be called from several threads.

    Leaving the block ends every worker, also one in the middle of a coalition: a run that was cancelled or has failed must
    not go on computing, nor keep the machine's memory until somebody notices.

    still_ours: raises if another run has taken the study over; asked by whoever begins evaluations.
    """

    def __init__(self, setting: Setting, size: int, still_ours: Callable[[], None] = lambda: None) -> None:
        self.size, self.still_ours = size, still_ours
        self._setting = setting
        self._workers: dict[int, _Worker] = {}  # by place
        self._lock = threading.Lock()
        self._closed = False
        self._free: queue.LifoQueue[int] = queue.LifoQueue()
        for place in reversed(range(size)):
            self._free.put(place)

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            left = dict(self._workers)
        free: list[int] = []
        with contextlib.suppress(queue.Empty):
            while True:
                free.append(self._free.get_nowait())
        idle = [left.pop(place) for place in free if place in left]
        for busy in left.values():  # the threads that wait for them find the pipe's end, and close it themselves
            busy.kill()
        for worker in idle:
            worker.stop()
        for place in free:  # whoever comes late is told that it is over, and does not wait for ever
            self._free.put(place)

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Give the job to an idle worker and wait for it.

        Raises:
            WorkerDied: if the worker's process ended.
            StoreUnavailable, StoreRefused: if the store does not answer the worker, or does not let it in.
            WorkerUnavailable: if something else that the worker needs was not there for the moment.
            ImagesGone: if somebody's images were removed meanwhile.
            DiskFull: if the disk of the store, or one that is written to besides, has no room left.
            OutOfMemory: if it could not get the memory that it asked for. It is replaced: what it had is free then.
            WorkerError: if the evaluation raised, or the run is ending.
        """
        place = self._free.get()
        try:
            return self._worker(place).evaluate(job, say)
        except (WorkerError, *ENDS_THE_RUN):
            raise  # the worker told us, so it is well
        except BaseException as error:
            # Dead, or in an unknown state because we were interrupted: never used again.
            with self._lock:
                worker = self._workers.pop(place, None)
            if worker is not None:
                worker.kill()
                worker.stop()
            if self._closed and isinstance(error, WorkerDied):
                raise WorkerError("the run ended in the middle of this coalition") from error
            raise
        finally:
            self._free.put(place)

    def _worker(self, place: int) -> _Worker:
        """The worker of a place, started now if there is none."""
        with self._lock:
            if self._closed:
                raise WorkerError("the run ended before this coalition began")
            if place not in self._workers:
                self._workers[place] = _Worker(self._setting, place)
            return self._workers[place]


class InProcess:
    """Evaluates in this process, one job at a time: for tests, and to debug a property of one's own."""

    size = 1

    def __init__(self, setting: Setting, index: int = 0, still_ours: Callable[[], None] = lambda: None) -> None:
        from tasks.evaluate.evaluator import Evaluator

        self.still_ours = still_ours
        self._evaluator = Evaluator(setting, index)
        self._lock = threading.Lock()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do what is missing of a job, here and now.

        Raises:
            OutOfMemory, DiskFull: if this process could not get memory, or room on a disk, whoever said so.
            Exception: what the evaluation raised.
        """
        try:
            with self._lock:
                return self._evaluator.evaluate(job, say)
        except Exception as error:
            if (meant := understood(error, f"process {os.getpid()}")) is not error:
                raise meant from error
            raise


def open_workers(setting: Setting, still_ours: Callable[[], None] = lambda: None) -> ProcessPool | InProcess:
    """The executor on this machine that a study asks for. still_ours: raises if another run has taken the study over.

    Raises:
        ValueError: if worker processes could not see the store.
    """
    execution = setting.study.execution
    if execution.mode == "inline":
        return InProcess(setting, still_ours=still_ours)
    if setting.store_url.startswith("memory:"):
        raise ValueError(
            "a store in memory cannot be seen by worker processes; use execution.mode 'inline' or another store"
        )
    return ProcessPool(setting, workers_of(execution), still_ours)


def workers_of(execution: ExecutionSpec) -> int:
    """How many workers a run on this machine has: as many as the study says, else one a card, else one a core."""
    if execution.mode == "inline":
        return 1
    on_cards = device_of(execution.device).startswith("cuda")
    return execution.workers or (torch.cuda.device_count() if on_cards else cores())


def cores() -> int:
    """Cores that this process may use; all of them where the system does not say (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, setting: Setting, index: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy torch's and Prefect's threads half-alive
        self.index = index
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, setting, index, os.getpid()), name=f"credit-worker-{index}", daemon=True
        )
        self._process.start()
        theirs.close()

    def evaluate(self, job: Job, say: Say) -> Outcome:
        try:
            self._pipe.send(job)
            while True:
                kind, content = self._pipe.recv()
                if kind == "say":
                    say(content)
                elif kind in TOLD:
                    raise TOLD[kind](content)
                else:
                    assert isinstance(content, Outcome)
                    return content
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join(timeout=10)
            raise WorkerDied(
                f"worker {self.index} (process {self._process.pid}) ended with code {self._process.exitcode} in the "
                "middle of a coalition; -9 means killed, often for lack of memory: fewer execution.workers need less"
            ) from error

    def kill(self) -> None:
        """End the process at once, whatever it does; safe while another thread waits for its answer."""
        self._process.kill()

    def stop(self) -> None:
        """Let the process end by itself, or make it. Only for whoever may use the pipe."""
        self._pipe.close()
        self._process.join(timeout=2)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, setting: Setting, index: int, parent: int) -> None:
    """A worker's whole life: one job after another until the pipe closes."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Ctrl-C reaches the whole group: the parent decides, and we go with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    started = time.monotonic()
    from tasks.evaluate.evaluator import Evaluator

    evaluator: Evaluator | None = None
    lock = threading.Lock()

    def answer(kind: str, content: Any) -> None:
        with lock:
            pipe.send((kind, content))

    logging.getLogger().addHandler(_Forward(lambda text: answer("say", text)))
    logging.getLogger().setLevel(logging.INFO)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            if evaluator is None:
                evaluator = Evaluator(setting, index)
                answer("say", f"worker {index} started on {evaluator.device} in {time.monotonic() - started:.1f} s")
            outcome = evaluator.evaluate(job, lambda text: answer("say", text))
        except Exception as error:  # whatever it is, the parent decides; nothing is lost but this one coalition
            answer(*told(error, f"worker {index}"))
        else:
            answer("done", outcome)


class _Forward(logging.Handler):
    """Sends what is logged in a worker (by a property of the user's own, say) to the task run that waits for it."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        try:
            self._say(f"{level}{record.name}: {self.format(record)}")
        except Exception:  # as logging does: what is badly logged must not end what was going on
            self.handleError(record)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also in the middle of a coalition."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
