"""Who sends work to a pool, asked of a real Prefect server without workers: what is waited for, what is given up, who is
blamed, and what people are told when runs wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Crashed, Pending, Running, State

from infra import sent, unbegun, work_pool
from infra.automations import NO_HEARTBEAT
from infra.job_templates import GPU_POOL
from infra.sent import Sent
from infra.work_pool import WorkPool
from infra.work_pool_server import Life
from tests.orchestra import deploy, make_pools, prefect_server

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]


@task
def evaluation() -> None:
    """What a shard does."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    """A server with the pools, and a deployment in one of them."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as there:
        make_pools(there, gpus=2)
        deploy(there, "tests/flows/idle.py:idle", "gpu", GPU_POOL)
        with (
            temporary_settings({PREFECT_API_URL: there["PREFECT_API_URL"]}),
            SyncPrefectClient(there["PREFECT_API_URL"]) as client,
        ):
            yield client


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def pool(server: SyncPrefectClient, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkPool]:
    """A pool that looks as often as it is asked; its runs are ended at last, so that none holds a place."""
    monkeypatch.setattr(work_pool, "LOOK_AGAIN", 0.0)
    made = WorkPool("idle/gpu", "nightly", ["study:small"], said.append)
    yield made
    for state in ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING"):
        for run in server.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": [state]}}})
        ):
            be(server, run.id, Crashed())


def be(server: SyncPrefectClient, run: str | UUID, *states: State[Any]) -> None:
    for state in states:
        server.set_flow_run_state(UUID(str(run)), state, force=True)


def begin_task(server: SyncPrefectClient, run: str, key: str, *states: State[Any]) -> None:
    made = server.create_task_run(evaluation, UUID(run), dynamic_key=key, state=Pending())
    for state in states:
        server.set_task_run_state(made.id, state, force=True)


def test_without_progress_a_run_is_given_up_and_blamed_only_if_it_had_begun_and_somebody_knows_what_is_too_long(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, hangs = pool.send("waits-for-a-card", {}), pool.send("hangs", {})
    for run in (waits, hangs):
        be(server, run, Pending(), Running())
    begin_task(server, hangs, "1", Running(), Completed())
    begin_task(server, hangs, "2", Running())
    assert not pool.ended(3600.0) and not pool.ended()
    found = pool.ended(0.0)
    assert found.keys() == {hangs} and found[hangs].died and "no sign of life" in found[hangs].said
    assert server.read_flow_run(UUID(hangs)).state_name == "Cancelling"
    monkeypatch.setattr(work_pool, "LONGEST_SILENT", 0.0)
    unknown = pool.send("hangs-too", {})
    be(server, unknown, Pending(), Running())
    begin_task(server, unknown, "1", Running())
    ended = pool.ended()
    assert ended.keys() == {waits, unknown} and not ended[waits].died and not ended[unknown].died


def test_a_run_that_says_or_finishes_something_is_waited_for_however_long_it_works(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, talks, works = (pool.send(name, {}) for name in ("silent", "talks", "works"))
    begun = set[datetime]()
    for run in (silent, talks, works):
        begin_task(server, run, "1", Running())
        be(server, run, Pending(), Running())
        begun.add(server.read_flow_run(UUID(run)).state.timestamp)  # type: ignore[union-attr]
    real = Sent._here  # all that happened until now is two hours older
    earlier = lambda sent, when, after: real(sent, when, after) - (7200.0 if when <= max(begun) else 0.0)  # noqa: E731
    monkeypatch.setattr(Sent, "_here", earlier)
    # The clock of its machine is wrong by hours, and an observer of a cluster says something of a run that does not.
    line = {"level": 20, "message": "step 4", "timestamp": datetime.now(UTC) - timedelta(hours=5)}
    talk = LogCreate.model_validate({**line, "name": "prefect.flow_runs", "flow_run_id": talks})
    seen = LogCreate.model_validate({**line, "name": "prefect.flow_runs.observer", "flow_run_id": silent})
    server.create_logs([talk, seen])
    begin_task(server, works, "2", Running(), Completed())
    assert pool.ended(3600.0).keys() == {silent}


def test_a_clock_that_is_wrong_or_jumps_gives_nobody_up(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the driver's clock everything on the server happened two hours ago."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(hours=2)

    works, starts = pool.send("works", {}), taken(server, pool, "starts")
    be(server, works, Pending(), Running())
    begin_task(server, works, "1", Running())
    monkeypatch.setattr(sent, "datetime", Ahead)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200.0)
    assert not pool.ended(1800.0), (works, starts)
    monkeypatch.setattr(work_pool, "LONGEST_PENDING", 0.0)
    assert pool.ended(0.0).keys() == {works, str(starts)}, "by its own clock it does"


def test_a_run_that_crashes_is_blamed_if_it_had_begun_an_evaluation(server: SyncPrefectClient, pool: WorkPool) -> None:
    began, never = pool.send("began", {}), pool.send("never", {})
    for run in (began, never):
        be(server, run, Pending(), Running())
    begin_task(server, began, "1", Running())
    for run in (began, never):
        be(server, run, Crashed(message="code -9"))
    found = pool.ended()
    assert found[began].died and not found[never].died


def test_a_run_that_the_automation_counts_out_blames_nobody_and_stays_crashed(
    server: SyncPrefectClient, pool: WorkPool
) -> None:
    gone = pool.send("gone", {})
    be(server, gone, Pending(), Running())
    begin_task(server, gone, "1", Running())
    be(server, gone, Crashed(message=f"{NO_HEARTBEAT} 15 min: its machine is gone"))
    found = pool.ended()
    assert found.keys() == {gone} and not (found[gone].died or found[gone].completed)
    with pool:
        pass
    assert server.read_flow_run(UUID(gone)).state_name == "Crashed", "cancelled, it would have a place again"


def test_whoever_leaves_cancels_those_too_that_were_given_up_and_may_yet_begin(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "LONGEST_PENDING", 0.0)
    late = taken(server, pool, "late")
    assert pool.ended().keys() == {str(late)}
    be(server, str(late), Running())  # between two looks
    with pool:
        pass
    assert server.read_flow_run(late).state_name == "Cancelling"


def test_a_cancelled_run_whose_worker_is_gone_is_not_waited_for_for_ever(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pool.send("cancelled", {})
    be(server, run, Pending(), Running(), Cancelling())
    assert not pool.ended()
    monkeypatch.setattr(work_pool, "LONGEST_CANCELLING", 0.0)
    assert not pool.ended()[run].died


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_server_whose_clock_is_set_gives_nobody_up_who_works(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """What it dates from then on is hours away from what it dated before."""
    works, starts = pool.send("works", {}), pool.send("starts", {})
    for run in (works, starts):
        be(server, run, Pending())
    begin_task(server, works, "first", Running())
    assert not pool.ended()
    runs, life = work_pool.ask.runs, work_pool.ask.life
    jumped = max(when for _, when in life(UUID(works)).signs)

    def dated(when: datetime) -> datetime:
        return when + timedelta(hours=hours) if when > jumped else when

    def runs_dated(wanted: FlowRunFilter) -> list[FlowRun]:
        found = runs(wanted)
        for run in found:
            assert run.state is not None
            run.state.timestamp = dated(run.state.timestamp)
        return found

    def life_dated(run: UUID) -> Life:
        seen = life(run)
        return Life(frozenset((what, dated(when)) for what, when in seen.signs), seen.begun)

    monkeypatch.setattr(work_pool.ask, "runs", runs_dated)
    monkeypatch.setattr(work_pool.ask, "life", life_dated)
    be(server, works, Running())
    for number in range(4):
        begin_task(server, works, str(number), Running(), Completed())
        assert not pool.ended(4.0), "it showed a sign of life since the last look"
        time.sleep(1.5)
    monkeypatch.setattr(work_pool, "LONGEST_PENDING", 4.0)
    found = {*pool.ended(4.0)}
    for _ in range(3):  # signs that no look has seen yet count as new in the next one
        time.sleep(4.1)
        found |= {*pool.ended(4.0)}
    assert found == {works, starts}, "by the clock here both are silent for more than four seconds"


def unanswered(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next questions about runs are not answered."""
    left, real = [httpx.ConnectError("refused")] * times, work_pool.ask.runs

    def runs(wanted: FlowRunFilter) -> list[FlowRun]:
        if left:
            raise left.pop()
        return real(wanted)

    monkeypatch.setattr(work_pool.ask, "runs", runs)


def taken(server: SyncPrefectClient, pool: WorkPool, name: str, *states: State[Any]) -> UUID:
    """A run that a worker took."""
    run = UUID(pool.send(name, {}))
    for state in (Pending(), *states):
        server.set_flow_run_state(run, state)
    return run


def test_a_run_that_was_starting_when_the_server_went_away_is_given_up_and_asked_to_end(
    server: SyncPrefectClient, pool: WorkPool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "LONGEST_PENDING_AFTER", 0.0)
    monkeypatch.setattr(work_pool, "OUTAGE", 1.5)
    before, late = taken(server, pool, "taken-before"), taken(server, pool, "late")
    cluster = taken(server, pool, "waits-for-a-machine", Pending(name="InfrastructurePending"))
    assert not pool.ended(), "they are starting"
    unanswered(2, monkeypatch)  # for 3 s
    found = pool.ended()
    assert found.keys() == {str(before), str(late)}, cluster
    assert all(end.outage and not end.died and not end.completed for end in found.values())
    assert "the Prefect server was away" in found[str(before)].said and "does not answer" in said[-1]
    after = taken(server, pool, "taken-after")
    assert not pool.ended(), "what was taken since then is starting"
    for run in (before, late):
        assert server.read_flow_run(run).state_name == "Cancelling", "its process may be there after all"
    assert not pool.ended(), after


def test_while_the_store_was_waited_for_nobody_knows_where_the_server_was(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both may be on one machine, which was started anew."""
    monkeypatch.setattr(work_pool, "LONGEST_PENDING_AFTER", 0.5)
    monkeypatch.setattr(work_pool, "UNASKED", 1.0)
    before = taken(server, pool, "taken-before")
    assert not pool.ended()
    time.sleep(1.2)
    assert not pool.ended()
    monkeypatch.setattr(work_pool, "UNASKED", 3600.0)  # from here on it is asked, however slow this machine is
    after = taken(server, pool, "taken-after")
    time.sleep(0.6)
    assert pool.ended().keys() == {str(before)}, after


def test_one_that_was_given_up_and_begins_after_all_is_cancelled_and_never_marked_as_over(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unbegun, "LOOK_AGAIN", 0.0)
    monkeypatch.setattr(work_pool, "LONGEST_PENDING", 0.0)
    run = taken(server, pool, "late")
    assert pool.ended().keys() == {str(run)}
    be(server, run, Running())  # between the look and the request to end
    for _ in range(3):
        assert not pool.ended()
        assert server.read_flow_run(run).state_name == "Cancelling"


def test_a_moment_without_an_answer_gives_nobody_up(
    server: SyncPrefectClient, pool: WorkPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "LONGEST_PENDING_AFTER", 0.0)
    taken(server, pool, "starts")
    unanswered(1, monkeypatch)
    assert not pool.ended()


def test_when_runs_wait_though_workers_are_there_it_is_said_who_has_the_places_and_what_to_do(
    server: SyncPrefectClient, pool: WorkPool, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = WorkPool("idle/gpu", "urgent", ["study:other"], print)
    dead = theirs.send("dead-since-yesterday", {})
    be(server, dead, Pending(), Running())
    pool.send("waits", {})
    monkeypatch.setattr(work_pool, "UNTOUCHED", 0.0)
    pool.ended()
    assert "0 workers are online. Start one: prefect worker start --pool credit-gpu" in said[-1]
    server.send_worker_heartbeat(GPU_POOL, "gpu-1", heartbeat_interval_seconds=30)
    pool.ended()
    assert f"1 runs, 1 of them not ours: dead-since-yesterday ({dead}), Running since 20" in said[-1]
    assert "cancel it in the UI" in said[-1]
