"""shapiq as an optional cross-check: another interpreter, spoken to in lines of JSON, never a dependency."""

from __future__ import annotations

import atexit
import json
import subprocess
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.estimators.archive import ROOT
from tests.bench.estimators.measure import Result, rank_agreement, relative_error
from tests.bench.estimators.problem import game_of
from tests.bench.estimators.settings import Method, Setting

OLDEST = (1, 8)


class Shapiq:
    """A running interpreter with shapiq. Raises RuntimeError if it cannot be had."""

    def __init__(self, python: str) -> None:
        if not Path(python).exists():
            raise RuntimeError(f"there is no {python}")
        self._process = subprocess.Popen(
            [python, "-m", "tests.bench.estimators.shapiq_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = str(self._read()["version"])
        if tuple(int(part) for part in self.version.split(".")[:2]) < OLDEST:
            raise RuntimeError(f"shapiq {self.version} lacks the estimators to compare with; 1.8 is the oldest")

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the interpreter with shapiq ended ({self._process.wait()}); its message is above")
        found: dict[str, Any] = json.loads(line)
        return found


@lru_cache(maxsize=1)
def connect(python: str) -> Shapiq:
    """One interpreter for each process of ours, ended with it."""
    link = Shapiq(python)
    atexit.register(link.close)
    return link


def measure_shapiq(setting: Setting, method: Method, python: str) -> Result:
    """As `measure`; shapiq gives no intervals. {"unidentified": why} where it gives no credits."""
    found = connect(python).ask({"setting": asdict(setting), "estimator": method.estimator})
    if "problem" in found:
        return {"unidentified": found["problem"]}
    truth = game_of(setting.game, setting.n_players, setting.repeat, setting.spread)[0].excess
    excess = np.array(found["excess"])
    return {
        "seconds": found["seconds"],
        "error": relative_error(excess, truth),
        "spearman": rank_agreement(excess, truth),
        "evaluations": found["evaluations"],
    }
