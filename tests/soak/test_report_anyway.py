"""A soak that went wrong has its report all the same: it is then that somebody wants to read it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.states import Completed, Running

from infra import patience
from tests.faults.running import wait_for
from tests.soak import faults, runs, settle
from tests.soak.faults import Fault
from tests.soak.runs import Try
from tests.soak.session import Session
from tests.soak.studies import PLAIN
from tests.soak.world import World


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """One without a stack, on an empty store."""
    monkeypatch.setenv("CREDIT_STORE", str(tmp_path / "store"))
    return Session(World(tmp_path / "soak", lambda _: None), ())


def test_without_a_statement_no_generation_was_the_most_disturbed() -> None:
    crashed = Try(PLAIN, 0, "a", 1.0, 2.0, "crashed")
    assert settle.most_disturbed([]) is None and settle.most_disturbed([crashed]) is None
    done = [Try(PLAIN, number, "b", 1.0, 2.0, "completed") for number in (0, 1)]
    assert settle.most_disturbed([*done, Try(PLAIN, 1, "c", 1.0, 2.0, "crashed")]) == 1


def test_where_nothing_was_published_and_nothing_answers_the_report_says_so(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise httpx.ConnectError("nobody listens")

    monkeypatch.setattr(settle, "wait_for_rest", away)
    monkeypatch.setattr("tests.soak.session.records", away)
    session.watch.book.read("ledger/models/a.json", "sha")
    session.watch.start()
    session._check_at_rest()
    result = session.result()
    wrong = "\n".join(result["wrong"])
    assert "a study could not be run at rest: soak-plain has no statement" in wrong
    assert "not compared: soak-plain has no statement" in wrong
    assert "flow runs under way: ConnectError: nobody listens" in wrong
    assert "the ledger: ConnectError: nobody listens" in wrong
    assert result["evaluations"]["lost"] == []
    table = session.table({"seed": 0, "minutes": 1, "pace": 20, **result})
    assert "VERDICT" in table and "WRONG" in table


def test_a_ledger_that_is_empty_at_the_end_is_lost_and_not_unread(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "wait_for_rest", lambda: [])
    session.watch.book.read("ledger/models/a.json", "sha")
    session.watch.start()
    session._check_at_rest()
    assert session.result()["evaluations"]["lost"] == ["ledger/models/a.json"]


def test_an_error_among_the_faults_does_not_cost_the_report(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for lane in session.lanes:
        monkeypatch.setattr(lane, "run", lambda: None)
    monkeypatch.setattr(session.inflictor, "run", lambda *_: 1 / 0)
    monkeypatch.setattr(settle, "wait_for_rest", lambda: [])
    session.run(10)
    assert "the faults: ZeroDivisionError: division by zero" in session.result()["wrong"]


def test_what_does_not_end_is_not_waited_for_for_ever_and_what_fails_is_said(session: Session) -> None:
    free, inflictor = threading.Event(), session.inflictor

    def fail(_: Fault) -> None:
        raise ZeroDivisionError("as it comes")

    def hang(_: Fault) -> None:
        free.wait(60)

    inflictor._beside(fail, Fault(0, faults.CANCEL, 0, 0))
    inflictor._threads[0].join(60)
    inflictor._beside(hang, Fault(0, faults.TIDY_UP, 0, 0))
    began = time.monotonic()
    inflictor.rest(0.2)
    assert time.monotonic() - began < 30 and not free.is_set()
    assert set(inflictor.troubles) == {
        "cancel run: ZeroDivisionError: as it comes",
        "gc did not end within 0 s after the last fault",
    }
    free.set()


def test_ctrl_c_lets_those_go_on_that_were_stopped_and_waits_for_nobody(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for lane in session.lanes:
        monkeypatch.setattr(lane, "run", lambda: None)
    monkeypatch.setattr(session.inflictor, "run", interrupted)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        worker = psutil.Process(child.pid)
        monkeypatch.setattr(session.inflictor, "_playing", lambda *_: [worker])
        session.inflictor._inflict(Fault(0, faults.HANG_WORKER, 0, 600))
        wait_for(lambda: worker.status() == psutil.STATUS_STOPPED)
        with pytest.raises(KeyboardInterrupt):
            session.run(600)
        wait_for(lambda: worker.status() != psutil.STATUS_STOPPED)
    for thread in session.inflictor._threads:
        thread.cancel()  # type: ignore[attr-defined]


def test_a_run_that_does_not_end_in_time_is_killed_with_what_it_started_in_other_sessions(tmp_path: Path) -> None:
    child = "import time; time.sleep(600)"
    parent = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True); "
        "print(child.pid, flush=True); child.wait()"
    )
    log = tmp_path / "log"
    assert settle.run_for([sys.executable, "-c", "raise SystemExit(3)"], os.environ, log, 60) == 3
    seconds = 1.0
    while not log.read_text():  # on a busy machine it may be killed before it has started anything
        assert settle.run_for([sys.executable, "-c", parent], os.environ, log, seconds) is None
        seconds *= 2
    number = int(log.read_text().split()[-1])
    assert not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_a_server_that_is_away_when_a_dead_run_is_declared_crashed_is_asked_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []

    class Server:
        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...

        def set_flow_run_state(self, run: object, *_: object, **__: object) -> None:
            declared.append(str(run))
            if len(declared) == 1:
                raise httpx.ConnectError("nobody listens")

    monkeypatch.setattr(runs, "UNSEEN", -1.0)
    monkeypatch.setattr(runs, "LOOK", 0.0)
    monkeypatch.setattr(runs, "client", Server)
    monkeypatch.setattr(runs, "_state", lambda _: Completed() if len(declared) > 1 else Running())
    monkeypatch.setattr(patience.time, "sleep", lambda _: None)
    begun = Try(PLAIN, 0, "00000000-0000-4000-8000-000000000000", 1.0)
    session.runs.wait(begun)
    assert begun.how == "completed" and declared == [begun.run] * 2
