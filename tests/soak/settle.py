"""The checks once everything rests, and the comparison with a run that nobody disturbed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml
from prefect.client.schemas.filters import FlowRunFilter

from infra.lease import living
from infra.prefect_api import client
from infra.settings import store_url
from infra.store import Store
from tests.check_same_credits import check_same
from tests.soak.runs import Runs, Try
from tests.soak.studies import PLAIN, Generation, plain
from tests.soak.world import ROOT, World

UNDER_WAY = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING", "PAUSED"]
REST = 180.0  # seconds for cancelled shards to end
UNDISTURBED = 900.0  # seconds


def wait_for_rest() -> list[str]:
    """Wait until no flow run is under way; returns those that do not come to an end, by name and state."""
    deadline = time.monotonic() + REST
    while (left := _under_way()) and time.monotonic() < deadline:
        time.sleep(2)
    return left


def leases(store: Store) -> list[str]:
    """Leases that somebody still holds."""
    return [f"{key}: {holder.holder}" for key, holder in living(store).items()]


def most_disturbed(tries: Sequence[Try]) -> int | None:
    """The generation of soak-plain that took most runs, of those that have a statement; the first of equals. None if there
    is no statement."""
    of_it = [each for each in tries if each.what == PLAIN]
    finished = {each.generation for each in of_it if each.how == "completed"}
    runs = Counter(each.generation for each in of_it if each.generation in finished)
    return max(sorted(runs), key=lambda number: runs[number], default=None)


def run_again(runs: Runs, generation: Generation) -> str | None:
    """Run a generation once more, without faults: why it has no statement, or None if it has.

    Its records are all there, so it should train nothing; its statement is made of what was evaluated under faults.
    """
    begun = runs.start(PLAIN, generation.number, generation.deployment, generation.parameters)
    deadline = time.time() + UNDISTURBED
    runs.wait(begun, until=lambda: time.time() > deadline)
    return None if begun.how == "completed" else f"{begun.how}: {begun.said}"


def compare(world: World, generation: Generation) -> tuple[bool, str]:
    """Run the same study by itself, in a store of its own, and hold its credits against the newest statement of the soak's.

    Returns:
        Whether they are the same to the last bit, and a sentence about it.
    """
    other = world.folder / "undisturbed"
    preset = world.folder / "undisturbed.yaml"
    preset.write_text(yaml.safe_dump(generation.study.model_dump(mode="json"), allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "flows.run", str(preset), "--set", "execution.mode=inline"]
    log = world.folder / "undisturbed.log"
    code = run_for(command, {**os.environ, "CREDIT_STORE": str(other)}, log, UNDISTURBED)
    if code is None:
        return False, f"the undisturbed run did not end within {UNDISTURBED:.0f} s and was killed; see {log}"
    if code:
        return False, f"the undisturbed run ended with code {code}; see {log}"
    try:
        return True, check_same(Store(store_url()), PLAIN, Store(str(other)), PLAIN)
    except AssertionError as error:
        return False, f"generation {generation.number}: {error}"


def run_for(command: Sequence[str], environment: Mapping[str, str], log: Path, seconds: float) -> int | None:
    """The exit code of a command; None if it did not end in time and was killed, with all that it had started, in whatever
    sessions."""
    with open(log, "ab") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
            psutil.wait_procs(family, timeout=30)


def generation_of(world: World, number: int) -> Generation:
    """That generation of soak-plain."""
    return plain(number, world.plain_data)


def _under_way() -> list[str]:
    wanted: dict[str, Any] = {"state": {"type": {"any_": UNDER_WAY}}}
    with client() as server:
        found = server.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted), limit=200)
    return [f"{run.name} ({run.id}): {run.state_name}" for run in found if not run.auto_scheduled]
