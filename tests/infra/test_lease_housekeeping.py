"""Whoever deletes from a store has it alone: no study runs beside them, and none is disturbed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra.lease import HOUSEKEEPING, Lease, LeaseHeld, living
from infra.store import Store, StoreError
from tasks.study import NAME
from tests.infra.racing import race
from tests.infra.test_lease import leave


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_tidying_up_is_refused_while_any_study_runs_and_names_it(store: Store) -> None:
    with (
        Lease(store, "other", "flow run calm-owl"),
        pytest.raises(LeaseHeld, match="'other' is being run by flow run calm-owl"),
        Lease(store, HOUSEKEEPING, "me"),
    ):
        pass
    with Lease(store, HOUSEKEEPING, "me"):  # refused before, it has given its own lease back
        pass


def test_no_study_begins_while_the_store_is_tidied_up(store: Store) -> None:
    with (
        Lease(store, HOUSEKEEPING, "flow run neat-hen"),
        pytest.raises(LeaseHeld, match="the store is being tidied up by flow run neat-hen"),
        Lease(store, "study", "me"),
    ):
        pass
    with Lease(store, "study", "me"):
        assert [key.split("/")[1] for key in living(store)] == ["study"]


def test_of_two_that_tidy_up_one_does(store: Store) -> None:
    with Lease(store, HOUSEKEEPING, "first"), pytest.raises(LeaseHeld, match="first"):
        Lease(store, HOUSEKEEPING, "second").__enter__()


def test_of_a_run_and_a_tidying_at_the_same_moment_never_both_begin(store: Store) -> None:
    def begin(number: int) -> tuple[float, float] | None:
        try:
            with Lease(store, HOUSEKEEPING if number % 2 else "study", f"racer {number}"):
                began = time.monotonic()
                time.sleep(0.05)
                return began, time.monotonic()
        except LeaseHeld:
            return None

    for _ in range(20):
        run, tidying = race(2, begin)
        assert run is None or tidying is None or run[1] <= tidying[0] or tidying[1] <= run[0]


def test_the_lease_of_a_dead_run_stops_nobody(store: Store) -> None:
    leave(store, expires=time.time() - 1)
    with Lease(store, HOUSEKEEPING, "me"):
        pass


def test_what_is_no_lease_stops_whoever_would_delete(store: Store) -> None:
    store.write("leases/study/00000001.json", b"{}")
    with pytest.raises(StoreError, match="is not a lease"), Lease(store, HOUSEKEEPING, "me"):
        pass


def test_no_study_can_have_the_name() -> None:
    assert not NAME.fullmatch(HOUSEKEEPING)
