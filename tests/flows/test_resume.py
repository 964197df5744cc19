"""Killed runs lose nothing that was finished: real processes, real SIGKILLs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from prefect.settings import PREFECT_API_URL

from flows.attribute import attribute
from infra.store import Store
from tasks.study import Study
from tests.flows.reading import ledger, made, table
from tests.small import DESIGNERS, EVALUATIONS, small_study

pytestmark = pytest.mark.timeout(
    600
)  # whole commands, each of which imports everything anew, beside whatever else runs


@contextlib.contextmanager
def started(study: Study, store: Store, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m flows.run` on a preset, in a process of its own, against the test's Prefect server. If the block fails,
    nothing of it is left."""
    preset = folder / f"{study.name}.yaml"
    preset.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(preset)],
        env={**os.environ, "CREDIT_STORE": store.url, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_all(process)


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL a run: the command and the process with the flow; its workers are left to find out by themselves."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    runs = [p for p in tree if "flows.run" in " ".join(p.cmdline())]
    for p in runs:
        p.send_signal(signal.SIGKILL)
    process.wait()
    psutil.wait_procs([p for p in tree if p not in runs], timeout=20)
    assert not [p for p in tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], "workers outlived their run"


def test_a_killed_run_goes_on_and_repeats_no_finished_evaluation(data: Path, store: Store, tmp_path: Path) -> None:
    slower = {"steps": 10}  # so that it is killed among its evaluations, not behind them
    first = small_study(data, coalition=slower, execution={"mode": "processes", "workers": 2})
    with started(first, store, tmp_path) as run:
        wait_for(lambda: len(store.list("ledger/scores")) >= 10)
        kill_all(run)
    assert not store.list("studies"), "a killed run published something"
    before, networks = ledger(store), made(store)
    study = small_study(data, coalition=slower)  # goes on in this process: how it is executed is no part of what it is
    attribute(study)
    assert {key: ledger(store)[key] for key in before} == before
    evaluations = table(store, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS
    finished = [
        all(f"ledger/scores/{row[f'score_key_{name}']}.json" in before for name in study.properties.names)
        for _, row in evaluations.iterrows()
    ]
    assert list(evaluations["cached"]) == finished and 0 < sum(finished) < EVALUATIONS
    # Reference, pruned model and every coalition's network that was recorded: none was made again.
    recorded = {json.loads(record)["sha256"] for key, record in before.items() if key.startswith("ledger/models/")}
    again = {key for key, file in networks.items() if made(store)[key] != file}
    assert not {key for key in again if any(sha256 in key for sha256 in recorded)}


def test_a_worker_that_is_killed_costs_one_coalition_which_is_tried_again(
    data: Path, store: Store, tmp_path: Path
) -> None:
    study = small_study(
        data,
        data={"only": DESIGNERS[:3]},  # all 8 coalitions
        coalition={"steps": 40, "audit_coalitions": 0},  # a second each: none ends while its worker is looked for
        properties={"names": ["heldout_loss"]},
        execution={"mode": "processes", "workers": 1},
    )
    with started(study, store, tmp_path) as run:
        wait_for(lambda: len(store.list("ledger/scores")) >= 2)
        children = psutil.Process(run.pid).children(recursive=True)
        workers = [p for p in children if "multiprocessing.spawn" in " ".join(p.cmdline())]
        assert len(workers) == 1
        workers[0].kill()
        output, _ = run.communicate(timeout=400)
        assert run.returncode == 0, output
        assert "-9" in output and "in the middle of a coalition" in output  # said, not hidden
    evaluations = table(store, "small", "evaluations.parquet")
    assert len(evaluations) == 8 and evaluations["failure"].isna().all()
