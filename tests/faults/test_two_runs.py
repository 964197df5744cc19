"""One run of a study at a time: two real processes at once, and runs that died while they held it."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from infra.store import Store
from tests.faults.running import Nursery, wait_for
from tests.faults.watching import Watch
from tests.flows.reading import ledger, made, table
from tests.infra.test_lease import leave
from tests.small import DESIGNERS, EVALUATIONS, small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
HELD = re.compile(
    r"LeaseHeld: study 'small' is being run by flow run (\S+) \(.*\) on .* \(process (\d+)\); wait until it ends"
)


def test_of_two_runs_at_once_one_works_and_the_other_is_told_who_does(
    data: Path, nursery: Nursery, store: Store
) -> None:
    study = small_study(data, coalition={"steps": 20})
    with Watch(store, "small") as watch:
        both = [nursery.start(study, store.url) for _ in range(2)]
        wait_for(lambda: any(run.ended for run in both), what="the end of either")
        refused, working = sorted(both, key=lambda run: not run.ended)
        assert refused.wait() == 1
        held = HELD.search(refused.said())
        assert held is not None, refused.said()
        assert int(held[2]) == working.process and f"'{held[1]}'" in working.said()
        assert not working.ended, "the one that works was waited for"
        assert "partition_data" not in refused.steps(), "it did something although it was refused"
        # Nor is one that comes in the middle of the evaluations.
        wait_for(lambda: len(store.list("ledger/scores")) > 3)
        late = nursery.finish(study, store.url, code=1)
        assert HELD.search(late.said()) and not working.ended
        assert working.wait() == 0, working.said()
    assert len(watch.latest) == 1
    assert len(table(store, "small", "evaluations.parquet")) == EVALUATIONS
    # Every network was trained once; nobody's is only drawn.
    assert working.said().count(" - trained ") == len(store.list("models")) - 1

    before = ledger(store), made(store)
    nursery.finish(study, store.url)
    assert (ledger(store), made(store)) == before
    assert table(store, "small", "evaluations.parquet")["cached"].all()


def test_a_dead_runs_lease_is_taken_over_at_once_on_its_machine(data: Path, nursery: Nursery, store: Store) -> None:
    study = small_study(data, data={"only": DESIGNERS[:3]}, properties={"names": ["heldout_loss"]})
    run = nursery.start(study, store.url)
    run.reach("train_reference")
    run.kill()
    (lease,) = store.list("leases")
    assert json.loads(store.read(lease))["expires"] > time.time() + 60, "it would be stale by itself"
    nursery.finish(study, store.url)


def test_a_run_that_died_on_another_machine_holds_its_study_until_its_lease_expires(
    data: Path, nursery: Nursery, store: Store
) -> None:
    study = small_study(data, data={"only": DESIGNERS[:3]}, properties={"names": ["heldout_loss"]})
    store.check()
    leave(store, study="small", holder="flow run far-heron", process=os.getpid(), expires=time.time() + 3600)
    refused = nursery.finish(study, store.url, code=1)
    assert re.search(
        r"run by flow run far-heron on elsewhere .* If it died, its lease expires in 3\d\d\d s", refused.said()
    )
    assert not store.list("ledger")
    leave(store, study="small", holder="flow run far-heron", process=os.getpid(), expires=time.time() - 1)
    nursery.finish(study, store.url)
    assert store.list("leases") == ["leases/small/00000002.json"]
