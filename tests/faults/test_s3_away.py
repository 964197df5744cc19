"""The store is away for a minute in the middle of a run: driver and workers wait for it, say so, and go on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra.s3_server import S3Server
from tests.faults.running import Nursery, wait_for
from tests.faults.servers import GONE, assert_whole, begun_on
from tests.faults.test_kills import trained
from tests.flows.reading import ledger

pytestmark = [pytest.mark.faults, pytest.mark.s3, pytest.mark.timeout(900)]


def test_a_store_that_is_gone_for_a_minute_costs_no_evaluation(
    data: Path, own_s3_server: S3Server, nursery: Nursery
) -> None:
    study, store, run = begun_on(own_s3_server, data, nursery)
    wait_for(lambda: len(store.list("ledger/scores")) >= 6 or run.ended, what="the third evaluation")
    assert not run.ended, run.said()
    own_s3_server.stop()
    time.sleep(GONE)
    own_s3_server.start()
    before = ledger(store)
    assert run.wait(600) == 0, run.said()
    assert {key: ledger(store).get(key) for key in before} == before
    assert_whole(store, study.name)
    said = run.said()
    assert f"the store {store.url} does not answer" in said and "it is asked again for 10 min" in said
    names = trained(run)
    again = [name for name in names if names.count(name) > 1]
    assert len(set(again)) <= 2, f"more than the two evaluations in flight were trained twice: {again}"
