"""Runs of a study in processes of their own, which tests may kill at any moment.

A fresh Python takes many seconds to import torch and Prefect. So one process imports them once, starts no thread, and forks
a run whenever it is asked to (tests.faults.forking): from then on that run is a process like any other, with a number, a
log and an end of its own. What it does is what `python -m flows.run` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tasks.study import Study

ROOT = Path(__file__).parents[2]


def wait_for(condition: Callable[[], bool], seconds: float = 240, what: str = "it") -> None:
    """Until the condition holds.

    Raises:
        AssertionError: if it does not within so many seconds, which are generous: the machine may be busy.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} never happened"
        time.sleep(0.005)


@dataclass(frozen=True)
class Run:
    """One run: its process, and what it said."""

    process: int
    log: Path
    marks: Path  # the step it is at, one a line: see forking.MARKED
    end: Path  # holds its exit code once it has ended, negative for a signal

    @property
    def ended(self) -> bool:
        return self.end.exists()

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def steps(self) -> list[str]:
        """Names of the steps that it has begun."""
        return self.marks.read_text().split() if self.marks.exists() else []

    def reach(self, condition: Callable[[], bool] | str, seconds: float = 240) -> None:
        """Until it has begun this step, or the condition holds.

        Raises:
            AssertionError: if it ended before.
        """
        reached = (lambda: condition in self.steps()) if isinstance(condition, str) else condition
        wait_for(lambda: self.ended or reached(), seconds)
        assert reached(), f"it ended before: {self.said()}"

    def wait(self, seconds: float = 240) -> int:
        """Its exit code."""
        wait_for(lambda: self.ended, seconds, f"the end of the run; it said:\n{self.said()}\nthat")
        return int(self.end.read_text())

    def kill(self) -> None:
        """SIGKILL, to itself only: its workers find out by themselves. Waits until all of them are gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process).children(recursive=True)
            os.kill(self.process, signal.SIGKILL)
            psutil.wait_procs(family, timeout=30)
            assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], "workers live on"
        self.wait()

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        children = psutil.Process(self.process).children(recursive=True)
        return [p for p in children if "spawn_main" in " ".join(p.cmdline())]


class Nursery:
    """The process that forks runs. A context manager; leaving it ends every run that is still there.

    Args:
        api: address of the Prefect API that runs talk to.
        folder: where their logs go.
        wrapped: a command to start it under, such as `nsenter …`.
    """

    def __init__(self, api: str, folder: Path, wrapped: tuple[str, ...] = (), **environment: str) -> None:
        self._folder, self._runs = folder, list[Run]()
        folder.mkdir(parents=True, exist_ok=True)
        one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [*wrapped, sys.executable, "-W", "ignore", "-m", "tests.faults.forking"],
            cwd=ROOT,
            env={**os.environ, **one, "PREFECT_API_URL": api, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def process(self) -> int:
        """Number of the process that forks runs."""
        return self._process.pid

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._runs:
            if not run.ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(run.process, signal.SIGKILL)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, study: Study, store: str, prelude: str = "", **environment: str) -> Run:
        """Run a study on the store of that address.

        Args:
            prelude: a `module:function` that is called in the run's process before the flow, such as one that sets the
                clock.
        """
        name = f"run-{len(self._runs):03d}"
        files = {kind: self._folder / f"{name}.{kind}" for kind in ("log", "marks", "end")}
        asked: dict[str, Any] = {
            "study": study.model_dump(mode="json"),
            "environment": {"CREDIT_STORE": store, **environment},
            "prelude": prelude,
            **{kind: str(path) for kind, path in files.items()},
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks runs has ended"
        self._runs.append(Run(int(answer), **files))
        return self._runs[-1]

    def finish(self, study: Study, store: str, *, code: int = 0, prelude: str = "", **environment: str) -> Run:
        """Run a study to its end, which is to be `code`."""
        run = self.start(study, store, prelude, **environment)
        assert run.wait() == code, run.said()
        return run


def changed(study: Study, **sections: Mapping[str, Any]) -> Study:
    """A study with some fields set anew."""
    fields = study.model_dump()
    for section, changes in sections.items():
        fields[section] = {**fields[section], **changes}
    return Study.model_validate(fields)
