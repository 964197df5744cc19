"""A clock that jumps costs no evaluation, lets no two runs publish, and leaves statements in their order."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.lease import Lease, LeaseHeld, LeaseLost
from infra.process import boot, machine, uptime
from infra.store import Store
from tasks.statements.read import all_statements, latest_statement
from tasks.study import Study
from tests.faults.clocks import READERS, elsewhere, tell
from tests.faults.running import Nursery, wait_for
from tests.faults.watching import Watch
from tests.flows.reading import ledger, made, table
from tests.small import DESIGNERS, small_study

HOURS = 3600.0
HERE, ELSEWHERE = "tests.faults.clocks:set_by_file", "tests.faults.clocks:set_by_file_elsewhere"
GATED = "tests.faults.clocks:held_at_gate"


class Clock:
    """This process's, as leases read it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead, self._patch = 0.0, patch
        real = time.time
        patch.setattr(time, "time", lambda: real() + self.ahead)

    def on_another_machine(self, ahead: float = 0.0) -> None:
        """From now on this process is on one, whose clock is so many seconds ahead of the true time."""
        self.ahead = ahead
        for module in READERS:
            self._patch.setattr(f"{module}.machine", elsewhere)
            self._patch.setattr(f"{module}.boot", elsewhere)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("jump", [5 * HOURS, -5 * HOURS])
def test_on_one_machine_a_jump_makes_no_living_lease_stale(store: Store, clock: Clock, jump: float) -> None:
    with Lease(store, "study", "the first") as first:
        clock.ahead = jump
        with pytest.raises(LeaseHeld, match=r"the first .* expires in 1\d\d s"):
            Lease(store, "study", "the second").__enter__()
        first.check()
        with pytest.raises(LeaseHeld, match="the first"):
            Lease(store, "study", "the second").__enter__()
    with Lease(store, "study", "the second"):
        pass


class Container:
    """This process as one of another container of this machine: other process numbers, the same boot."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        for module in READERS:
            patch.setattr(f"{module}.machine", lambda: f"{machine().partition('/')[0]}/pid:[1]")
        patch.setattr("infra.holder.is_alive", lambda *_: pytest.fail("its number means another process here"))


@pytest.mark.skipif(boot() is None, reason="the system names no boot")
@pytest.mark.parametrize("jump", [5 * HOURS, -5 * HOURS])
def test_in_another_container_of_one_machine_a_jump_makes_no_living_lease_stale(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    with Lease(store, "study", "the first") as first:
        clock.ahead = jump
        with monkeypatch.context() as patch:
            Container(patch)
            with pytest.raises(LeaseHeld, match=r"the first .* expires in 1\d\d s"):
                Lease(store, "study", "the second").__enter__()
        first.check()


@pytest.mark.skipif(boot() is None, reason="the system names no boot")
def test_in_another_container_a_holder_that_is_gone_is_waited_for_until_its_lease_expires(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Lease(store, "study", "the first")._holder(60)
    Container(monkeypatch)
    assert not holder.is_stale(0.0)
    assert holder.model_copy(update={"expires_up": uptime() - 1}).is_stale(0.0)


def test_where_the_system_names_no_boot_seconds_since_one_are_neither_written_nor_believed(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: a lease from before a boot would live as long again as the machine had been up."""
    named = Lease(store, "study", "the first")._holder(60)
    for module in READERS:
        monkeypatch.setattr(f"{module}.boot", lambda: None)
    unnamed = Lease(store, "study", "the first")._holder(60)
    assert unnamed.expires_up is None and unnamed.boot is None
    long_up = named.model_copy(update={"expires": time.time() - 1, "expires_up": uptime() + HOURS})
    for holder in (long_up, long_up.model_copy(update={"boot": None})):
        assert holder.is_stale(time.time()) and unnamed.outlived(holder)
    with Lease(store, "study", "the first"), pytest.raises(LeaseHeld, match="the first"):
        Lease(store, "study", "the second").__enter__()


def test_seconds_since_another_boot_of_this_machine_are_not_believed(store: Store) -> None:
    before = Lease(store, "study", "the first")._holder(60).model_copy(update={"boot": "an earlier boot"})
    assert before.seconds_left(before.expires - 5) == pytest.approx(5)


def test_a_holder_whose_clock_is_set_back_keeps_its_lease_before_other_machines(store: Store, clock: Clock) -> None:
    with Lease(store, "study", "the first") as first:
        clock.ahead = -5 * HOURS
        first.check()
        clock.on_another_machine()
        with pytest.raises(LeaseHeld, match="the first"):
            Lease(store, "study", "the second").__enter__()


def test_a_run_that_ended_under_a_clock_far_ahead_stands_in_nobodys_way(store: Store, clock: Clock) -> None:
    clock.ahead = 5 * HOURS
    with Lease(store, "study", "the first"):
        pass
    clock.on_another_machine()
    with Lease(store, "study", "the second"):
        pass


def test_one_that_died_under_a_clock_far_ahead_is_told_what_it_is(store: Store, clock: Clock) -> None:
    clock.ahead = 5 * HOURS
    with Lease(store, "study", "the first"):
        clock.on_another_machine()
        with pytest.raises(
            LeaseHeld, match=r"No lease lasts as long: the clock of .* if no such run .* delete that file"
        ):
            Lease(store, "study", "the second").__enter__()


def test_where_another_machines_clock_is_ahead_the_one_that_was_taken_over_does_not_publish(
    store: Store, clock: Clock
) -> None:
    with Lease(store, "study", "the first") as first:
        clock.on_another_machine(ahead=5 * HOURS)
        with Lease(store, "study", "the second") as second:
            with pytest.raises(LeaseLost, match="taken over"):
                first.check()
            second.check()


EVALUATIONS = 8 + 2  # all coalitions, and two repeated under another seed


def three_designers(data: Path) -> Study:
    """EVALUATIONS of them, one score each."""
    return small_study(data, data={"only": DESIGNERS[:3]}, properties={"names": ["heldout_loss"]})


def scores(store: Store) -> int:
    return len(store.list("ledger/scores"))


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_runs_whose_clock_jumps_lose_nothing_and_keep_others_out_and_statements_in_their_order(
    data: Path, nursery: Nursery, store: Store, tmp_path: Path
) -> None:
    study, clock, gate = three_designers(data), tmp_path / "clock", tmp_path / "gate"
    undisturbed = Store(str(tmp_path / "undisturbed"))
    nursery.finish(study, undisturbed.url)
    tell(clock, 0)
    tell(gate, 2)
    with Watch(store, study.name) as watch:
        run = nursery.start(study, store.url, HERE, CLOCK=str(clock), GATE=str(gate))
        run.reach(lambda: scores(store) == 2)
        tell(clock, 5 * HOURS)
        tell(gate, 4)
        run.reach(lambda: scores(store) == 4)
        refused = nursery.finish(study, store.url, code=1, prelude=HERE, CLOCK=str(clock))
        assert "LeaseHeld: study 'small' is being run by" in refused.said() and not run.ended
        tell(clock, -5 * HOURS)
        tell(gate, 6)
        run.reach(lambda: scores(store) == 6)
        tell(clock, 5 * HOURS)
        tell(gate, EVALUATIONS)
        assert run.wait() == 0, run.said()
        assert table(store, "small", "credits.parquet").equals(table(undisturbed, "small", "credits.parquet"))
        assert run.said().count(" - trained ") == len(store.list("models")) - 1
        first = latest_statement(store, "small")
        assert first is not None and (first.created - datetime.now(UTC)).total_seconds() > 4 * HOURS

        # The clock is set right again: five hours back.
        tell(clock, 0)
        before = ledger(store), made(store)
        again = nursery.finish(study, store.url, prelude=HERE, CLOCK=str(clock))
        assert (ledger(store), made(store)) == before
        second = latest_statement(store, "small")
        assert second is not None and second.run != first.run and second.created > first.created
        assert re.search(r"the clock .* is behind the study's last statement", again.said())
        assert [statement.run for statement in all_statements(store, "small")] == [first.run, second.run]
        assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", second.run)
    assert watch.latest == [first.run, second.run]
    for record in ledger(store).values():
        created = datetime.fromisoformat(json.loads(record)["created"])
        assert abs((created - datetime.now(UTC)).total_seconds()) < 6 * HOURS


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_run_that_another_machine_with_a_fast_clock_took_over_stops_without_publishing(
    data: Path, nursery: Nursery, store: Store, tmp_path: Path
) -> None:
    ahead, gate = tmp_path / "ahead", tmp_path / "gate"
    tell(ahead, 5 * HOURS)
    tell(gate, 2)
    study = three_designers(data)
    with Watch(store, study.name) as watch:
        first = nursery.start(study, store.url, GATED, GATE=str(gate))
        first.reach(lambda: scores(store) == 2)
        second = nursery.start(study, store.url, ELSEWHERE, CLOCK=str(ahead))
        second.reach("evaluate_coalitions")
        assert not first.ended
        tell(gate, EVALUATIONS)
        wait_for(lambda: first.ended, what="the end of the run that was taken over")
        assert second.wait() == 0, second.said()
        assert first.wait() != 0 and "was taken over by another run" in first.said()[-4000:]
    assert len(watch.latest) == 1
    assert len([key for key in store.list("studies") if key.endswith("/manifest.json")]) == 1
