"""Runs of machines that are gone: `make deploy` makes a Prefect automation that marks them as Crashed, and whoever waits for
them then knows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger
from prefect.states import Cancelling, Pending, Running, Scheduled, State
from prefect.utilities.engine import propose_state_sync

from infra.automations import BEGINS_WITHIN, HEARTBEAT, NAME, NAME_UNBEGUN, WITHIN, mark_zombies
from infra.job_templates import KINDS, POOLS, job_template
from infra.patience import PATIENCE
from infra.store import Store
from infra.work_pool import LONGEST_PENDING
from tests.faults.running import wait_for
from tests.faults.servers import (
    PrefectServer,
    assert_kept,
    assert_whole,
    end_at_once,
    finish,
    finished,
    pools_on,
    said_by,
)
from tests.orchestra import Worker, runs_of
from tests.pooled import begin, workers
from tests.small import small_study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FLOWS = ("attribute", "evaluate-shard", "prepare-epoch")
BEAT, SHORT = 30, 90.0  # seconds: the fastest heart that Prefect allows, and three beats of it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One for all tests of this file. It loses patience with what is Cancelling after seconds, not minutes."""
    running = PrefectServer(tmp_path_factory.mktemp("prefect"))
    running.environment["PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS"] = "20"
    with running:
        yield running


@pytest.fixture
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    """Of a server without automations."""
    with SyncPrefectClient(server.url) as client:
        yield client
        for each in client.read_automations():
            client.delete_automation(each.id)


def the_one(client: SyncPrefectClient) -> Automation:
    """That for runs that have begun."""
    assert sorted(each.name for each in client.read_automations()) == sorted((NAME, NAME_UNBEGUN))
    (found,) = client.read_automations_by_name(NAME)
    return found


def put(client: SyncPrefectClient, found: Automation, **changes: object) -> None:
    """Change it as the UI does: the whole of it is sent."""
    whole = AutomationCore.model_validate(
        {**found.model_dump(mode="json", exclude={"id", "owner_resource"}), **changes}
    )
    client.update_automation(found.id, whole)


def has_more_to_do(worker: Worker) -> bool:
    """Whether its shard has begun, and has more than its present evaluation before it."""
    done = re.findall(r"(\d+) of (\d+) evaluations done", worker.said_since_taking())
    return bool(worker.runs() and done) and int(done[-1][0]) + 1 < int(done[-1][1])


def test_the_window_fits_the_heartbeat_and_a_server_that_is_away() -> None:
    slowest = 180.0  # Prefect's own default: of runs that no job template started
    assert 3 * slowest <= WITHIN and WITHIN >= PATIENCE + 2 * HEARTBEAT
    assert BEGINS_WITHIN == LONGEST_PENDING, "whoever waits for a run and the automation give it up alike"
    for kind in KINDS:
        for pool in POOLS:
            of_run = job_template(kind, pool)["job_configuration"]["env"]
            assert float(of_run["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) == HEARTBEAT


def test_made_twice_there_is_one_and_it_is_for_our_flows_only(client: SyncPrefectClient) -> None:
    assert [each.change for each in mark_zombies(client, FLOWS)] == ["made"] * 2
    first = the_one(client)
    assert [each.change for each in mark_zombies(client, FLOWS[::-1])] == ["as it was"] * 2
    assert the_one(client) == first and first.enabled
    assert isinstance(first.trigger, EventTrigger) and first.trigger.within.total_seconds() == WITHIN
    related = first.trigger.model_dump(mode="json")["match_related"]
    assert related == {"prefect.resource.role": ["flow"], "prefect.resource.name": sorted(FLOWS)} or related == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": sorted(FLOWS),
    }


def test_a_new_version_brings_it_up_to_date_and_leaves_it_switched_off(client: SyncPrefectClient) -> None:
    mark_zombies(client, FLOWS[:1], within=60.0)
    put(client, the_one(client), enabled=False)
    made, *others = mark_zombies(client, FLOWS)
    assert all(other.enabled for other in others)
    assert (made.change, made.enabled, made.ours) == ("brought up to date", False, True)
    found = the_one(client)
    assert not found.enabled and isinstance(found.trigger, EventTrigger)
    assert found.trigger.within.total_seconds() == WITHIN


def test_one_that_somebody_changed_is_left_alone_and_that_is_said(client: SyncPrefectClient) -> None:
    mark_zombies(client, FLOWS)
    found = the_one(client)
    theirs = {**found.trigger.model_dump(mode="json"), "within": 1200.0}
    put(client, found, trigger=theirs)
    changed = the_one(client)
    made, *_ = mark_zombies(client, FLOWS)
    assert (made.ours, made.enabled) == (False, True) and "changed" in made.change
    assert the_one(client) == changed


def test_a_run_that_never_begins_is_cancelled_one_that_nobody_ends_is_over_and_no_other(
    client: SyncPrefectClient,
) -> None:
    mark_zombies(client, ("attribute",), within=15.0, begins_within=15.0)

    def taken(flow: Flow[..., Any], *states: State[Any]) -> UUID:
        run = client.create_flow_run(flow, state=Scheduled())
        for state in (Pending(), *states):
            client.set_flow_run_state(run.id, state)
        return run.id

    def states(*runs: UUID) -> list[str]:
        return [str(client.read_flow_run(run).state_name) for run in runs]

    ours, theirs = Flow(print, name="attribute"), Flow(print, name="another-project")
    never, cancelled = taken(ours), taken(ours, Pending(name="Submitting"), Cancelling())
    begun, other = taken(ours, Running()), taken(theirs)
    twice = taken(ours, Running(), Scheduled(name="AwaitingRetry"), Pending())  # within the window of the first time
    wait_for(lambda: states(never) == ["Cancelling"], 60, "the automation")
    late = propose_state_sync(client, Running(), flow_run_id=never)  # its process comes, and asks whether it may begin
    assert not late.is_running() and states(never) == ["Cancelling"]
    # Prefect itself ends what nobody ends, so no automation of ours has to.
    wait_for(lambda: states(never, cancelled, twice) == ["Cancelled"] * 3, 90, "the end of all")
    assert any("did not begin within" in str(state.message) for state in client.read_flow_run_states(never))
    time.sleep(15)
    assert states(begun, other) == ["Running", "Pending"]


def test_a_machine_that_is_gone_costs_the_evaluation_it_was_at_and_the_run_that_beats_goes_on(
    client: SyncPrefectClient, server: PrefectServer, data: Path, store: Store, tmp_path: Path
) -> None:
    mark_zombies(client, FLOWS, within=SHORT)
    study = small_study(
        data, coalition={"steps": 150}, execution={"mode": "work_pool", "shard_minutes": 1, "retries": 2}
    )
    with pools_on(server, beat=BEAT) as there, workers(there, store, tmp_path) as (_, *gpus):
        run = begin(study)
        # Two shards of one evaluation each come first; then one that is in the middle of several.
        wait_for(lambda: len(store.list("ledger/scores")) >= 8, 400, "the fourth evaluation")
        wait_for(lambda: any(has_more_to_do(gpu) for gpu in gpus), 120, "a shard in the middle of several")
        gone = next(gpu for gpu in gpus if has_more_to_do(gpu))
        shard, machine = gone.taken()[-1], gone.process
        end_at_once(machine, *machine.children(recursive=True))  # the worker too: nobody is left to tell Prefect
        since, before = datetime.now(UTC), finished(store)
        end = finish(there, run.id)
        (dead,) = [each for each in runs_of(there, "evaluate-shard") if str(each.id) == shard]
        said = said_by(there, run.id)
    assert dead.state is not None and dead.state.is_crashed(), (dead.state, said)
    assert "no heartbeat for 1.5 min" in str(dead.state.message)
    took = (dead.state.timestamp - since).total_seconds()
    print(f"Crashed {took:.0f} s after its machine was gone")
    # At least one beat before the window's end it had sent its last; the server looks every few seconds.
    assert SHORT - BEAT - 5 <= took <= SHORT + 60
    # The driver beat all the while, and was told nothing.
    assert end.state is not None and end.state.is_completed(), (end.state, said)
    assert (end.state.timestamp - since).total_seconds() > took
    assert re.search(r"are sent again: .*Crashed: no heartbeat for 1\.5 min", said), said
    assert_kept(before, store)
    assert_whole(store, study.name)
