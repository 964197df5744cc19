"""Worker processes on one machine: each evaluates one coalition at a time, on one thread or one card.

A worker that dies takes one coalition with it: the call that waited for it raises `WorkerDied`, and the next call gets a new
worker. A worker whose parent dies ends itself, so a killed run leaves nothing behind that goes on computing.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Protocol

from tasks.evaluate.jobs import Job, Outcome, Setting

Say = Callable[[str], None]


class WorkerDied(RuntimeError):
    """A worker process ended in the middle of a coalition: killed, out of memory, or crashed."""


class WorkerError(RuntimeError):
    """An evaluation raised in its worker; the message holds the worker's traceback."""


class Evaluates(Protocol):
    """Something that turns a job into an outcome: a pool of processes, or this process itself."""

    size: int

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do what is missing of a job."""
        ...


class ProcessPool:
    """`size` worker processes, started when first needed. `evaluate` may be called from several threads."""

    def __init__(self, setting: Setting, size: int) -> None:
        self.size = size
        self._setting = setting
        self._idle: queue.LifoQueue[_Worker | int] = queue.LifoQueue()
        for index in reversed(range(size)):
            self._idle.put(index)

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            worker = self._idle.get_nowait()
            if isinstance(worker, _Worker):
                worker.stop()

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Give the job to an idle worker and wait for it.

        Raises:
            WorkerDied: if the worker's process ended.
            WorkerError: if the evaluation raised.
        """
        place = self._idle.get()
        index = place if isinstance(place, int) else place.index
        try:
            worker = _Worker(self._setting, index) if isinstance(place, int) else place
            outcome = worker.evaluate(job, say)
        except WorkerError:
            self._idle.put(worker)
            raise
        except BaseException:
            # Dead, or in an unknown state because we were interrupted: never used again.
            if not isinstance(place, int):
                place.stop()
            self._idle.put(index)
            raise
        self._idle.put(worker)
        return outcome


class InProcess:
    """Evaluates in this process, one job at a time: for tests, and to debug a property of one's own."""

    size = 1

    def __init__(self, setting: Setting) -> None:
        from tasks.evaluate.evaluator import Evaluator

        self._evaluator = Evaluator(setting)
        self._lock = threading.Lock()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def evaluate(self, job: Job, say: Say) -> Outcome:
        """Do what is missing of a job, here and now."""
        with self._lock:
            return self._evaluator.evaluate(job, say)


def open_workers(setting: Setting) -> ProcessPool | InProcess:
    """The executor a study asks for."""
    execution = setting.study.execution
    if execution.mode == "inline":
        return InProcess(setting)
    if setting.store_url.startswith("memory:"):
        raise ValueError(
            "a store in memory cannot be seen by worker processes; use execution.mode 'inline' or another store"
        )
    return ProcessPool(setting, execution.workers or len(os.sched_getaffinity(0)))


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
                elif kind == "error":
                    raise WorkerError(content)
                else:
                    assert isinstance(content, Outcome)
                    return content
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            self._process.join(timeout=10)
            raise WorkerDied(
                f"worker {self.index} (process {self._process.pid}) ended with code {self._process.exitcode} in the "
                "middle of a coalition; -9 means killed, often for lack of memory"
            ) from error

    def stop(self) -> None:
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
    from tasks.evaluate.evaluator import Evaluator

    evaluator: Evaluator | None = None
    lock = threading.Lock()

    def answer(kind: str, content: Any) -> None:
        with lock:
            pipe.send((kind, content))

    logging.getLogger().addHandler(_Forward(lambda text: answer("say", text)))
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            evaluator = evaluator or Evaluator(setting, index)
            outcome = evaluator.evaluate(job, lambda text: answer("say", text))
        except Exception as error:  # whatever it is, the parent decides; nothing is lost but this one coalition
            answer("error", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        else:
            answer("done", outcome)


class _Forward(logging.Handler):
    """Sends what is logged in a worker (by a property of the user's own, say) to the task run that waits for it."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(f"{record.name}: {self.format(record)}")


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also in the middle of a coalition."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
