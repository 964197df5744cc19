"""A run that is cancelled in the UI: its shards and its processes end within a minute, and what was finished stays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from infra.store import Store
from tests.faults.running import wait_for
from tests.faults.servers import (
    PrefectServer,
    assert_kept,
    finished,
    is_given_back,
    living,
    pools_on,
    state_of,
)
from tests.orchestra import Worker, runs_of
from tests.pooled import begin, workers
from tests.small import small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

PROMISED = 60.0  # seconds from the click until nothing works for the run any more
DEAFENING = 40.0  # seconds
STEPS = 2000  # longer than it takes to cancel: none ends by itself meanwhile


def click_cancel(there: Mapping[str, str], run: UUID) -> None:
    """The request of the UI's button."""
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        state = {"type": "CANCELLING", "name": "Cancelling", "message": "Cancelled from the UI"}
        client.request(
            "POST", "/flow_runs/{id}/set_state", path_params={"id": run}, json={"state": state, "force": True}
        ).raise_for_status()


def family(*of: Worker) -> list[psutil.Process]:
    """All processes below workers."""
    return [child for worker in of for child in worker.process.children(recursive=True)]


@pytest.mark.parametrize(
    ("mode", "deaf"), [("work_pool", False), ("processes", False), pytest.param("work_pool", True, id="deaf-workers")]
)
def test_a_cancelled_run_ends_with_all_that_works_for_it_and_keeps_what_was_finished(
    mode: str, deaf: bool, data: Path, store: Store, tmp_path: Path
) -> None:
    execution = {"mode": mode, "shard_minutes": 1} if mode == "work_pool" else {"mode": mode, "workers": 2}
    study = small_study(data, name="cancelled", execution=execution, coalition={"steps": 20_000 if deaf else STEPS})
    with PrefectServer(tmp_path) as server, pools_on(server) as there, workers(there, store, tmp_path) as all_of_them:
        run = begin(study)
        # The empty coalition trains nothing, so it is finished soon; the next ones take long.
        wait_for(lambda: len(store.list("ledger/scores")) >= 2, 400, "the first evaluation")
        if mode == "work_pool":
            wait_for(lambda: any(gpu.runs() for gpu in all_of_them[1:]), 200, "a shard under way")
        if deaf:  # workers that lose the server for so long hear of no cancellation of what they have under way
            wait_for(lambda: any(run.start_time for run in runs_of(there, "evaluate-shard")), 100, "a shard that began")
            server.kill()
            time.sleep(DEAFENING)
            server.start()
        before, theirs = finished(store), family(*all_of_them)
        assert theirs, "nothing works for the run"
        click_cancel(there, run.id)
        clicked = time.monotonic()
        wait_for(lambda: not living(theirs), PROMISED, "the end of all processes that worked for the cancelled run")
        gone = time.monotonic() - clicked
        # Prefect's own book-keeping, which imports each flow once more to look for hooks, takes as long as the machine does.
        wait_for(
            lambda: state_of(there, run.id) == "Cancelled" and not shards_under_way(there), 240, "the state Cancelled"
        )
        took = time.monotonic() - clicked
        print(f"{mode}: cancelled after {took:.0f} s, processes gone after {gone:.0f} s")
        assert {run.state_name for run in runs_of(there, "evaluate-shard")} <= {"Completed", "Cancelled"}
        if deaf:
            all_of_it = [run.id, *(shard.id for shard in runs_of(there, "evaluate-shard"))]
            said = " | ".join(messages_of(there, each) for each in all_of_it)
            assert "ended itself" in said, f"workers did hear of it: {said}"
        assert is_given_back(store, study.name)
        assert_kept(before, store)
        assert not store.list(f"studies/{study.name}")


def messages_of(there: Mapping[str, str], run: UUID) -> str:
    """What a run's states say."""
    with SyncPrefectClient(there["PREFECT_API_URL"]) as client:
        return " | ".join(str(state.message) for state in client.read_flow_run_states(run))


def shards_under_way(there: Mapping[str, str]) -> list[str]:
    """States of shards that have not ended."""
    shards = runs_of(there, "evaluate-shard")
    return [str(run.state_name) for run in shards if run.state is None or not run.state.is_final()]
