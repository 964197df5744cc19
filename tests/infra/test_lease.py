"""The lease: one run of a study at a time, whoever dies, stalls or races."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from infra.lease import DURATION, Lease, LeaseHeld, LeaseLost
from infra.process import is_alive, machine, started
from infra.store import Store, StoreError
from tests.infra.racing import python, race

HOLDER = """
import sys, time
from infra.lease import Lease
from infra.store import Store
with Lease(Store(sys.argv[1]), "study", "the other run"):
    print("held")
    time.sleep(600)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def leave(store: Store, number: int = 1, study: str = "study", **changes: Any) -> None:
    """A lease as another machine would leave it."""
    fields = {
        "holder": "the other run",
        "host": "elsewhere",
        "machine": "another boot/another container",
        "process": 1,
        "process_started": 1.0,
        "expires": time.time() + 60,
        **changes,
    }
    store.write(f"leases/{study}/{number:08d}.json", json.dumps(fields).encode())


def test_a_second_run_is_refused_and_told_who_holds_the_study(store: Store) -> None:
    with (
        Lease(store, "study", "flow run quiet-heron"),
        pytest.raises(LeaseHeld, match=r"'study' is being run by flow run quiet-heron on .*process \d+"),
        Lease(store, "study", "second"),
    ):
        pass


def test_another_study_is_not_concerned(store: Store) -> None:
    with Lease(store, "study", "a"), Lease(store, "study-2", "b"), Lease(store, "stud", "c"):
        pass


def test_given_back_it_is_free_at_once_and_one_lease_is_left(store: Store) -> None:
    for _ in range(3):
        with Lease(store, "study", "run"):
            pass
    assert len(store.list("leases/study")) == 1


def test_a_run_that_raised_gives_it_back_too(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), Lease(store, "study", "first"):
        raise ZeroDivisionError
    with Lease(store, "study", "second"):
        pass


def test_a_killed_process_of_this_machine_is_succeeded_at_once(store: Store) -> None:
    other = python(HOLDER, store.url)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(LeaseHeld, match="the other run"), Lease(store, "study", "me"):
        pass
    other.kill()
    other.stdout.read()  # it has ended, though nobody has waited for it yet
    until = time.monotonic() + 10
    while time.monotonic() < until and is_alive(other.pid, _start(store)):
        time.sleep(0.01)
    with Lease(store, "study", "me") as lease:
        lease.check()
    other.wait()
    other.stdout.close()


def _start(store: Store) -> float:
    content = json.loads(store.read("leases/study/00000001.json"))
    return float(content["process_started"])


def test_the_process_number_of_a_dead_holder_given_to_another_process_does_not_keep_its_lease(store: Store) -> None:
    import os

    leave(store, machine=machine(), process=os.getpid(), process_started=started() - 1)
    with Lease(store, "study", "me"):
        pass


def test_a_process_of_another_machine_is_not_taken_for_dead_though_its_host_has_our_name(store: Store) -> None:
    import socket

    leave(store, host=socket.gethostname(), process=2**22 + 1)
    with pytest.raises(LeaseHeld, match="the other run"), Lease(store, "study", "me"):
        pass


def test_an_expired_lease_of_another_machine_is_taken_over(store: Store) -> None:
    leave(store, expires=time.time() - 1)
    with Lease(store, "study", "me"):
        pass


def test_of_many_takers_of_a_stale_lease_one_gets_it(store: Store) -> None:
    leave(store, number=7, expires=time.time() - 1)

    def take(number: int) -> str:
        try:
            with Lease(store, "study", str(number)) as lease:
                time.sleep(0.5)  # until all have tried
                lease.check()
                return "held"
        except LeaseHeld:
            return "refused"

    results = race(12, take)
    assert sorted(results) == ["held"] + ["refused"] * 11
    assert store.list("leases/study") == ["leases/study/00000008.json"]


class _Slow(Store):
    """A store whose owner stands still between looking and taking, while others come and go."""

    meanwhile: Any = None

    def create(self, key: str, data: bytes) -> bool:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().create(key, data)


def test_a_taker_who_slept_while_two_others_came_is_refused_though_its_number_is_free_again(store: Store) -> None:
    leave(store, number=1, expires=time.time() - 1)
    slow = _Slow(store.url)
    held: list[Lease] = []

    def two_others() -> None:
        with Lease(store, "study", "second"):
            pass
        held.append(Lease(store, "study", "third").__enter__())

    slow.meanwhile = two_others
    with pytest.raises(LeaseHeld, match="at this very moment"), Lease(slow, "study", "sleeper"):
        pass
    held[0].check()
    held[0].__exit__(None, None, None)
    assert store.list("leases/study") == ["leases/study/00000003.json"]


class _Forgetful(Store):
    """A bucket that does what it is asked, loses its answer, is asked again, and says that it is done already."""

    def create(self, key: str, data: bytes) -> bool:
        super().create(key, data)
        return super().create(key, data)


def test_a_lease_whose_confirmation_was_lost_is_ours(store: Store) -> None:
    with Lease(_Forgetful(store.url), "study", "me") as lease:
        lease.check()


def test_it_is_renewed_while_the_run_lives(store: Store) -> None:
    with Lease(store, "study", "me", duration=0.4, renewal=0.05) as lease:
        time.sleep(0.8)
        with pytest.raises(LeaseHeld), Lease(store, "study", "second"):
            pass
        lease.check()


def test_a_run_that_was_silent_too_long_learns_that_it_was_succeeded(store: Store) -> None:
    with Lease(store, "study", "sleeper", duration=0.0, renewal=60) as sleeper:
        with Lease(store, "study", "successor") as successor:
            with pytest.raises(LeaseLost, match="taken over"):
                sleeper.check()
            successor.check()
        with pytest.raises(LeaseLost):
            sleeper.check()
    # And it does not give back what is not its own any more.
    assert store.list("leases/study") == ["leases/study/00000002.json"]


def test_the_renewal_itself_notices_a_successor_and_writes_no_more(store: Store) -> None:
    with Lease(store, "study", "sleeper", duration=0.0, renewal=0.05) as sleeper:
        leave(store, number=2)
        store.delete("leases/study/00000001.json")
        time.sleep(0.3)
        assert not store.exists("leases/study/00000001.json")
        with pytest.raises(LeaseLost):
            sleeper.check()


def test_check_makes_a_nearly_stale_lease_good_for_its_whole_duration(store: Store) -> None:
    with Lease(store, "study", "me", duration=60, renewal=60) as lease:
        leave(store, number=1, expires=time.time() + 1)
        lease.check()
        content = json.loads(store.read("leases/study/00000001.json"))
        assert content["expires"] > time.time() + 50


class _Away(Store):
    """A store that is away for a while, and says so by an error that is no OSError, as botocore's are."""

    away = False

    def list(self, prefix: str) -> list[str]:
        if self.away:
            raise RuntimeError("could not connect to the endpoint URL")
        return super().list(prefix)


def test_a_store_that_is_away_for_a_moment_does_not_end_the_renewals(store: Store) -> None:
    away = _Away(store.url)
    with Lease(away, "study", "me", duration=60, renewal=0.02):
        away.away = True
        time.sleep(0.1)
        away.away = False
        before = store.read("leases/study/00000001.json")
        time.sleep(0.2)
        assert store.read("leases/study/00000001.json") != before


def test_a_store_that_is_away_at_the_end_does_not_hide_what_went_wrong(store: Store) -> None:
    class Broken(Store):
        def write(self, key: str, data: bytes) -> None:
            raise RuntimeError("could not connect to the endpoint URL")

    with pytest.raises(ZeroDivisionError), Lease(Broken(store.url), "study", "me"):
        raise ZeroDivisionError


def test_no_thread_is_left_behind(store: Store) -> None:
    before = threading.active_count()
    with Lease(store, "study", "me"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"expires": float("inf")},
        {"expires": "soon"},
        {"process": -1},
        {"process": 2**40},
        {"extra": 1},
        {"holder": None},
    ],
)
def test_what_is_not_a_lease_is_an_error_that_says_what_to_delete(store: Store, changes: dict[str, Any]) -> None:
    leave(store, **changes)
    with pytest.raises(StoreError, match=r"00000001\.json is not a lease; delete it"), Lease(store, "study", "me"):
        pass


def test_foreign_names_among_the_leases_disturb_nobody(store: Store) -> None:
    for name in ("README.md", "latest.json", "1.json", "999999999999.json"):
        store.write(f"leases/study/{name}", b"hello")
    with Lease(store, "study", "me") as lease:
        lease.check()


def test_a_lease_lives_longer_than_several_renewals() -> None:
    from infra.lease import RENEWAL

    assert DURATION >= 4 * RENEWAL
