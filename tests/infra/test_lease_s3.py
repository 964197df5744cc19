"""The lease in a bucket: one run of a study at a time, across machines, also when the server is away for a while."""

from __future__ import annotations

import json
import time

import pytest

from infra.lease import Lease, LeaseHeld, LeaseLost
from infra.s3_server import S3Server
from infra.store import Store, StoreUnavailable
from tests.infra.racing import python, race
from tests.infra.test_lease import HOLDER, leave

pytestmark = pytest.mark.s3


def test_a_second_run_is_refused_until_the_first_one_ends(s3_url: str) -> None:
    store = Store(s3_url)
    for _ in range(2):
        with Lease(store, "study", "flow run quiet-heron") as lease:
            with (
                pytest.raises(LeaseHeld, match=r"being run by flow run quiet-heron.*s3://"),
                Lease(Store(s3_url), "study", "second"),
            ):
                pass
            lease.check()
    assert len(store.list("leases/study")) == 1


def test_an_expired_lease_of_another_machine_is_taken_over_and_its_holder_learns_it(s3_url: str) -> None:
    store = Store(s3_url)
    with (
        Lease(store, "study", "sleeper", duration=0.0, renewal=60) as sleeper,
        Lease(store, "study", "successor") as successor,
    ):
        with pytest.raises(LeaseLost, match="taken over"):
            sleeper.check()
        successor.check()
    assert store.list("leases/study") == ["leases/study/00000002.json"]


def test_a_killed_process_of_this_machine_is_succeeded_at_once(s3_url: str) -> None:
    store = Store(s3_url)
    other = python(HOLDER, s3_url)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(LeaseHeld, match="the other run"), Lease(store, "study", "me"):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with Lease(store, "study", "me") as lease:
        lease.check()


@pytest.mark.servers
def test_of_many_takers_of_a_stale_lease_one_gets_it(s3_url: str) -> None:
    leave(Store(s3_url), number=7, expires=time.time() - 1)

    def take(number: int) -> str:
        try:
            with Lease(Store(s3_url), "study", str(number)) as lease:
                time.sleep(3)  # until all have tried
                lease.check()
                return "held"
        except LeaseHeld:
            return "refused"

    assert sorted(race(5, take)) == ["held"] + ["refused"] * 4
    assert Store(s3_url).list("leases/study") == ["leases/study/00000008.json"]


@pytest.mark.servers
def test_a_server_that_is_killed_and_comes_back_does_not_cost_the_lease(own_s3_server: S3Server) -> None:
    store = Store(own_s3_server.url("store"))
    with Lease(store, "study", "me", duration=60, renewal=0.2) as lease:
        own_s3_server.kill()
        with pytest.raises(StoreUnavailable):
            lease.check()
        own_s3_server.start()
        lease.check()
        before = json.loads(store.read("leases/study/00000001.json"))["expires"]
        until = time.monotonic() + 60
        while time.monotonic() < until and json.loads(store.read("leases/study/00000001.json"))["expires"] == before:
            time.sleep(0.2)
        assert json.loads(store.read("leases/study/00000001.json"))["expires"] > before
        with pytest.raises(LeaseHeld), Lease(store, "study", "second"):
            pass
