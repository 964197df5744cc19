"""What a stack tells its Prefect server before its workers start, and the wait for them: `python -m infra.stack.handshake`.

A process of its own: the supervisor lives for days and need not hold Prefect in memory.

When this starts no worker of the stack lives. So whatever the database says is under way on its work pools is not: it was
cut off by a power failure, say, and would take the pool's places for ever. Runs sent by a driver that is gone are not wanted
either; a new run of the study finds in the ledger what they got done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed
from prefect.types._datetime import now

from infra.job_templates import CPU_POOL, GPU_POOL
from infra.stack.types import ONLINE, SETTLED

CUT_OFF = "it was cut off when its stack ended; start it again, and it goes on where it was"
_BEGUN = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]


def settle(client: SyncPrefectClient) -> int:
    """Close what no process works on any more, and what nobody waits for. Returns how many runs that were.

    Raises:
        ObjectNotFound: if a work pool is not there.
    """
    for pool in (CPU_POOL, GPU_POOL):
        client.read_work_pool(pool)
    cut_off = _runs(client, [CPU_POOL, GPU_POOL], _BEGUN)
    for run in cut_off:
        client.set_flow_run_state(run.id, Crashed(message=CUT_OFF), force=True)
    unwanted = _runs(client, [GPU_POOL], ["SCHEDULED"])
    for run in unwanted:
        client.set_flow_run_state(run.id, Cancelled(message="the run that sent this was cut off"), force=True)
    return len(cut_off) + len(unwanted)


def wait_for_workers(client: SyncPrefectClient, wanted: dict[str, str]) -> None:
    """Wait until each of these workers (name: work pool) has reported since now. Whoever started us has the patience."""
    since = now("UTC")
    missing = set(wanted)
    while missing:
        for pool in {wanted[name] for name in missing}:
            for worker in client.read_workers_for_work_pool(pool):
                if worker.last_heartbeat_time is not None and worker.last_heartbeat_time > since:
                    missing.discard(worker.name)
        time.sleep(0.3)


def _runs(client: SyncPrefectClient, pools: list[str], states: Collection[str]) -> list[FlowRun]:
    of_pools = WorkPoolFilter.model_validate({"name": {"any_": pools}})
    of_states = FlowRunFilter.model_validate({"state": {"type": {"any_": list(states)}}})
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        work_pool_filter=of_pools, flow_run_filter=of_states, limit=200, offset=len(found)
    ):
        found += page
    return found


def main() -> int:
    """Settle, say so, wait for the workers named on the command line (JSON, name: pool), say so."""
    wanted: dict[str, str] = json.loads(sys.argv[1])
    with get_client(sync_client=True) as client:
        try:
            closed = settle(client)
        except ObjectNotFound:
            print(f"the deployments brought no work pools '{CPU_POOL}' and '{GPU_POOL}'", file=sys.stderr)
            return 1
        print(f"{SETTLED} {closed}", flush=True)
        wait_for_workers(client, wanted)
        print(ONLINE, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
