"""One cell of the table: a store that nobody has used, a pool with so many workers, and a driver."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.job_templates import GPU_POOL
from infra.s3_server import S3Server
from infra.store import Store
from tests.bench.orchestration import game
from tests.orchestra import POLL_SECONDS, deploy, make_pools, prefect_server, running_worker

KNOWN = 2  # evaluations that are there before, so that it is known how long one takes, as in all rounds but the first
LONGEST = 900.0  # seconds that a process of the bench may take
Figures = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What the cells share.

    there: environment of drivers and workers, without the store.
    """

    folder: Path
    there: Mapping[str, str]
    s3: S3Server

    def store(self, kind: str, name: str) -> tuple[Store, dict[str, str]]:
        """A store of this kind, and the environment in which it is CREDIT_STORE."""
        url = self.s3.url(name) if kind == "s3" else str(self.folder / "stores" / name)
        return Store(url), {**self.there, "CREDIT_STORE": url}


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Servers for the length of the block; from then on this process finds the S3 server too."""
    with S3Server(folder / "s3") as s3, prefect_server(folder) as found:
        os.environ.update(s3.environment())
        yield Bench(folder, {**found, **s3.environment(), "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS}, s3)


def dispatching(
    bench: Bench,
    kind: str,
    workers: int,
    evaluations: int,
    seconds: float,
    shard_seconds: float,
    properties: Sequence[str] = (),
) -> Figures:
    """What a driver measured: see `driver`. seconds: of each evaluation."""
    name = f"{kind}-{workers}-{evaluations}-{time.monotonic_ns()}"
    store, there = bench.store(kind, name)
    make_pools(there, workers)
    how = {"parameters": {"seconds": seconds}}
    deploy(there, "tests/bench/orchestration/sleeping.py:evaluate_shard", game.DEPLOYMENT, GPU_POOL, **how)
    study = game.study(name, evaluations + KNOWN, shard_seconds, list(properties) or None)
    game.fill(game.plan(study, game.people(), store).jobs[:KNOWN], store, seconds or 0.01)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(running_worker(GPU_POOL, f"{name}-{i}", there, bench.folder)) for i in range(workers)
        ]
        for worker in started:
            worker.wait_until_started()
        arguments = [store.url, name, str(evaluations + KNOWN), str(shard_seconds), *properties]
        return _figures("driver", arguments, there, bench.folder / f"{name}-driver.log")


def recognising(bench: Bench, kind: str, evaluations: int) -> Figures:
    """Seconds of planning when all evaluations are in the ledger: first for anybody, and then again."""
    store, there = bench.store(kind, f"recognise-{evaluations}-{time.monotonic_ns()}")
    jobs = game.plan(game.study("recognise", evaluations, 60), game.people(), Store("memory://nothing")).jobs
    filling = game.fill(jobs, store, 5.0)
    log = bench.folder / f"recognise-{kind}.log"
    cold, warm = (_figures("recognise", [store.url, str(evaluations)], there, log) for _ in range(2))
    return {
        "evaluations": evaluations,
        "records": len(store.list("ledger")),
        "filling": filling,
        "drawing": warm["drawing"],
        "cold": cold["planning"],
        "warm": warm["planning"],
    }


def _figures(module: str, arguments: Sequence[str], there: Mapping[str, str], log: Path) -> Figures:
    """What a process of the bench says that it measured."""
    command = [sys.executable, "-m", f"tests.bench.orchestration.{module}", *arguments]
    done = subprocess.run(command, env=dict(there), capture_output=True, text=True, timeout=LONGEST)
    log.write_text(done.stdout + done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith(game.PREFIX)]
    if done.returncode or not lines:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    figures: Figures = json.loads(lines[-1].removeprefix(game.PREFIX))
    return figures
