"""Whoever deletes from a store has it alone: no study runs beside them, and none is disturbed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from infra.lease import HOUSEKEEPING, Lease, LeaseHeld, LeaseLost, living
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


BOTH = pytest.mark.parametrize(("sleeper", "other"), [("study", HOUSEKEEPING), (HOUSEKEEPING, "study")])


class Asleep(Lease):
    """A lease that is not renewed by itself; `lapse` makes it as old as if its holder had been suspended for long."""

    def __init__(self, store: Store, study: str) -> None:
        super().__init__(store, study, "the sleeper", duration=60, renewal=3600)

    def __enter__(self) -> Asleep:
        super().__enter__()
        return self

    def lapse(self, ago: float = 1) -> None:
        self._ours = self._holder(-ago)
        self._write(self._ours)


@BOTH
def test_a_lapsed_holder_loses_to_whoever_excludes_it_and_gives_its_lease_back(
    store: Store, sleeper: str, other: str
) -> None:
    with Asleep(store, sleeper) as lapsed:
        lapsed.lapse()
        with Lease(store, other, "flow run wide-awake") as awake:
            with pytest.raises(LeaseLost, match=r"lapsed, and meanwhile .* was begun by flow run wide-awake"):
                lapsed.check()
            awake.check()
            assert [key.split("/")[1] for key in living(store)] == [other]
        with pytest.raises(LeaseLost):
            lapsed.check()


@BOTH
def test_a_lapsed_holder_loses_though_whoever_excludes_it_has_come_and_gone(
    store: Store, sleeper: str, other: str
) -> None:
    with Asleep(store, sleeper) as lapsed:
        lapsed.lapse()
        with Lease(store, other, "quick"):
            pass  # it may have deleted what the sleeper rests on, or published what the sleeper is about to delete
        with pytest.raises(LeaseLost, match="begun by quick"):
            lapsed.check()


@BOTH
def test_the_renewal_itself_notices_who_was_begun_meanwhile(store: Store, sleeper: str, other: str) -> None:
    with Lease(store, sleeper, "sleeper", duration=0.0, renewal=0.05) as lapsed, Lease(store, other, "awake"):
        until = time.monotonic() + 10
        while not lapsed._lost and time.monotonic() < until:
            time.sleep(0.01)
        assert "begun by awake" in lapsed._lost
        assert [key.split("/")[1] for key in living(store)] == [other]


@BOTH
def test_who_lapsed_while_nobody_came_goes_on_and_keeps_others_out(store: Store, sleeper: str, other: str) -> None:
    with Lease(store, other, "long ago"):
        pass
    with Asleep(store, sleeper) as lapsed:
        with pytest.raises(LeaseHeld):
            Lease(store, other, "refused while it was good").__enter__()
        time.sleep(0.01)
        lapsed.lapse(0)
        lapsed.check()
        with pytest.raises(LeaseHeld, match="the sleeper"):
            Lease(store, other, "refused after it").__enter__()


class _Looking(Store):
    """A store whose user stands still between taking a lease and looking for others."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.taken, self.go_on = threading.Event(), threading.Event()

    def create(self, key: str, data: bytes) -> bool:
        created = super().create(key, data)
        self.taken.set()
        assert self.go_on.wait(10)
        return created


@BOTH
@pytest.mark.parametrize("lapsed", [False, True])
def test_a_newcomer_about_to_be_refused_costs_only_a_lapsed_holder_its_lease(
    store: Store, sleeper: str, other: str, lapsed: bool
) -> None:
    looking = _Looking(store.url)
    refused: list[str] = []

    def come() -> None:
        try:
            Lease(looking, other, "newcomer").__enter__()
        except LeaseHeld as held:
            refused.append(str(held))

    with Asleep(store, sleeper) as holder:
        newcomer = threading.Thread(target=come)
        newcomer.start()
        assert looking.taken.wait(10)
        if lapsed:  # whether the newcomer looked before or after this renewal cannot be known
            holder.lapse()
            with pytest.raises(LeaseLost, match="begun by newcomer"):
                holder.check()
        else:
            holder.check()
        looking.go_on.set()
        newcomer.join()
        assert len(refused) == (not lapsed)


def test_a_lapsed_holder_that_could_not_look_is_not_taken_for_alone_the_next_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Asleep(store, "study") as lapsed:
        lapsed.lapse()
        with Lease(store, HOUSEKEEPING, "awake"):
            with monkeypatch.context() as away:
                away.setattr("infra.lease._newest", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    lapsed.check()
            with pytest.raises(LeaseLost, match="begun by awake"):
                lapsed.check()


def test_no_study_can_have_the_name() -> None:
    assert not NAME.fullmatch(HOUSEKEEPING)
