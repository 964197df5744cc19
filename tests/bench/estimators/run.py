"""Works through jobs in separate processes of one thread each, and keeps every finished cell at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any

from tasks.progress import Ticker
from tests.bench.estimators.archive import Archive, our_digest, shapiq_digest
from tests.bench.estimators.join import measure_join
from tests.bench.estimators.measure import measure
from tests.bench.estimators.settings import JoinSetting, Method, Setting, identity, is_asked, predicted_seconds
from tests.bench.estimators.shapiq_link import measure_shapiq

JOIN = "gp, a_optimal"  # the one method of the join experiment
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What one process does in one go: the methods of a setting that are still to be measured."""

    setting: Setting | JoinSetting
    methods: tuple[Method, ...]

    @property
    def names(self) -> list[str]:
        return [method.name for method in self.methods] or [JOIN]

    @property
    def predicted(self) -> float:
        return predicted_seconds(self.setting, self.names)


@dataclass(frozen=True)
class Digests:
    """Of the sources that make the numbers; shapiq's without a version stands for all of its versions."""

    accuracy: str
    join: str
    shapiq: str

    @classmethod
    def now(cls, shapiq_version: str | None) -> Digests:
        return cls(our_digest("accuracy"), our_digest("join"), shapiq_digest(shapiq_version or ""))

    def of(self, setting: Setting | JoinSetting, method: Method | None) -> str:
        if isinstance(setting, JoinSetting):
            return self.join
        return self.shapiq if method is not None and method.is_shapiq else self.accuracy

    def all(self) -> list[str]:
        return [self.accuracy, self.join, self.shapiq]


def missing(
    archive: Archive, settings: Iterable[Setting | JoinSetting], methods: Sequence[Method], digests: Digests
) -> Iterator[Job]:
    """Jobs for the cells that the archive lacks, in the order of the settings."""
    for setting in settings:
        if isinstance(setting, JoinSetting):
            if not archive.has(identity(setting, JOIN), digests.join):
                yield Job(setting, ())
            continue
        asked = tuple(
            method
            for method in methods
            if is_asked(setting, method)
            and not archive.has(identity(setting, method.name), digests.of(setting, method))
        )
        if asked:
            yield Job(setting, asked)


def work(job: Job, shapiq_python: str | None) -> list[dict[str, Any]]:
    """Results in the order of job.names; runs in a process of its own."""
    if isinstance(job.setting, JoinSetting):
        return [measure_join(job.setting)]
    return [
        measure_shapiq(job.setting, method, shapiq_python or "") if method.is_shapiq else measure(job.setting, method)
        for method in job.methods
    ]


def run(
    jobs: Sequence[Job],
    archive: Archive,
    digests: Digests,
    *,
    processes: int = 1,
    minutes: float | None = None,
    shapiq_python: str | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Measure all jobs, or start none after so many minutes; what went wrong, one message each, is returned.

    A job that crashes leaves no record, so that the next run tries it again; the others go on.
    """
    crashes: list[str] = []
    started = time.monotonic()
    total = round(sum(job.predicted for job in jobs)) or 1
    ticker = Ticker(say, "work done, in predicted seconds of one core", every=15)
    done = 0.0
    for name in THREADS:
        os.environ[name] = "1"  # read by the processes when they load numpy
    queue = iter(jobs)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running: dict[Future[list[dict[str, Any]]], Job] = {}
        while True:
            if minutes is None or time.monotonic() - started < 60 * minutes:
                for job in islice(queue, 2 * processes - len(running)):
                    running[pool.submit(work, job, shapiq_python)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                if (error := future.exception()) is not None:
                    crashes.append(f"{job.setting} {', '.join(job.names)}: {type(error).__name__}: {error}")
                    say(f"CRASH {crashes[-1]}")
                else:
                    for name, method, result in zip(job.names, job.methods or (None,), future.result(), strict=True):
                        archive.add(identity(job.setting, name), digests.of(job.setting, method), result)
                done += job.predicted
                ticker(min(int(done), total - 1), total)
    if jobs and next(queue, None) is None:
        ticker(total, total)
    return crashes
