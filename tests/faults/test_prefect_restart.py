"""The Prefect server is killed in the middle of a run and started again: the work goes on without it meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra.server import CLIENT_RETRIES
from infra.store import Store
from tests.faults.running import Nursery, wait_for
from tests.faults.servers import (
    PrefectServer,
    assert_kept,
    assert_whole,
    finish,
    finished,
    is_given_back,
    pools_on,
    said_by,
)
from tests.faults.test_kills import trained
from tests.orchestra import runs_of
from tests.pooled import begin, workers
from tests.small import small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

AWAY = 100.0  # seconds: more than the 62 to 75 for which Prefect's own client asks again if nobody tells it more
SLOWER = {"steps": 30}  # about a second each: most are still to do when the server is killed


def scores(store: Store) -> int:
    return len(store.list("ledger/scores"))


def away(server: PrefectServer) -> None:
    """Kill the server, and start it again later."""
    server.kill()
    time.sleep(AWAY)
    server.start()


def test_a_run_in_processes_goes_on_without_the_server_and_ends_well(data: Path, store: Store, tmp_path: Path) -> None:
    study = small_study(data, coalition=SLOWER, execution={"mode": "processes", "workers": 2})
    # As patient as flows.command makes it.
    with (
        PrefectServer(tmp_path) as server,
        Nursery(server.url, tmp_path / "runs", PREFECT_CLIENT_MAX_RETRIES=CLIENT_RETRIES) as nursery,
    ):
        run = nursery.start(study, store.url)
        wait_for(lambda: scores(store) >= 6 or run.ended, what="the third evaluation")
        assert not run.ended, run.said()
        before = finished(store)
        away(server)
        assert run.wait(600) == 0, run.said()
        (known,) = runs_of(server.environment, "attribute")
    assert known.state is not None and known.state.is_completed(), known.state
    assert_kept(before, store)
    assert_whole(store, study.name)
    names = trained(run)
    assert len(names) == len(set(names)), "an evaluation was trained twice"


def test_a_run_on_a_work_pool_goes_on_with_its_shards_and_ends_well(data: Path, store: Store, tmp_path: Path) -> None:
    study = small_study(data, coalition=SLOWER, execution={"mode": "work_pool", "shard_minutes": 1})
    with PrefectServer(tmp_path) as server, pools_on(server) as there, workers(there, store, tmp_path):
        run = begin(study)
        wait_for(lambda: scores(store) >= 8, 400, "the fourth evaluation")
        before = finished(store)
        away(server)
        end = finish(there, run.id)
        shards = runs_of(there, "evaluate-shard")
        said = said_by(there, run.id)
    assert end.state is not None and end.state.is_completed(), (end.state, said)
    assert_kept(before, store)
    assert_whole(store, study.name)
    assert is_given_back(store, study.name)
    # One that was just starting did not live through it (tests/infra/test_work_pool.py).
    lost = [shard for shard in shards if shard.state_name != "Completed"]
    assert len(lost) <= 2 and all(shard.start_time is None for shard in lost), (lost, said)
    assert {shard.state_name for shard in lost} <= {"Cancelling", "Cancelled"}, (lost, said)
    assert "the Prefect server does not answer" in said
