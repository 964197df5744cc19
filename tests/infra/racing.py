"""Real processes that race for one thing, or are killed in the middle of one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def race(racers: int, attempt: Callable[[int], Any]) -> list[Any]:
    """What `attempt(0)` … `attempt(racers - 1)` return, each called in a process of its own, all at the same moment."""
    context = multiprocessing.get_context("fork")  # no threads here; a spawn would take seconds for its imports
    ready, answers = context.Barrier(racers), context.Queue()

    def run(number: int) -> None:
        ready.wait()
        answers.put((number, attempt(number)))

    processes = [context.Process(target=run, args=(number,)) for number in range(racers)]
    for process in processes:
        process.start()
    results = dict(answers.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    return [results[number] for number in range(racers)]


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process that runs `code` with this checkout's packages; its output is ours to read."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
