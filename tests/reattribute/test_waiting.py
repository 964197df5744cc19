"""Whoever comes second waits for the first, says for whom, and is not kept waiting by the dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.lease import HOUSEKEEPING, Lease
from infra.store import Store
from tasks.reattribute.waiting import SAY_EVERY, wait_until_free


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_nobody_is_waited_for_where_nobody_runs_this_study(store: Store) -> None:
    said: list[str] = []
    with Lease(store, "other", "flow run x"):
        wait_until_free(store, "art", said.append, sleep=lambda _: pytest.fail("it slept"))
    assert not said


@pytest.mark.parametrize("held", ["art", HOUSEKEEPING])
def test_who_runs_it_or_tidies_up_is_waited_for_and_named_now_and_then(store: Store, held: str) -> None:
    said: list[str] = []
    lease = Lease(store, held, "flow run brave-owl")
    lease.__enter__()
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += SAY_EVERY / 2
        if clock[0] > 2 * SAY_EVERY:
            lease.__exit__(None, None, None)

    wait_until_free(store, "art", said.append, sleep=sleep, now=lambda: clock[0])
    assert len(said) == 3 and all("flow run brave-owl" in line for line in said)


def test_a_lease_whose_process_is_gone_is_not_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lease(store, "art", "flow run x"):
        monkeypatch.setattr("infra.holder.is_alive", lambda *_: False)
        wait_until_free(store, "art", pytest.fail, sleep=lambda _: pytest.fail("it slept"))
