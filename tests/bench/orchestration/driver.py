"""The driver of a cell, a process of its own: plan, dispatch, and say as JSON what it took.

python -m tests.bench.orchestration.driver STORE NAME EVALUATIONS SHARD_SECONDS [PROPERTY …]
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.evaluate.shards.messages import load_report, load_shard
from tasks.evaluate.shards.pool import ShardedPool
from tasks.evaluate.task import evaluate_coalitions
from tests.bench.orchestration import game, requests


@flow(name="drive", persist_result=False)
def drive(store: str, name: str, evaluations: int, shard_seconds: float, properties: list[str]) -> dict[str, Any]:
    """Plan and dispatch. Returns the figures."""
    there, partition = Store(store), game.people()
    study = game.study(name, evaluations, shard_seconds, properties or None)
    began = time.monotonic()
    plan = game.plan(study, partition, there)
    planned = time.monotonic()
    say = get_run_logger().info
    with ShardedPool(game.setting(study, partition, there), there, say, lambda: None) as pool:
        opened = time.monotonic()
        evaluate_coalitions(study, plan, partition, pool, there)
        wall = time.monotonic() - opened
    return {
        "evaluations": len(plan.missing),
        "planning": planned - began,
        "wall": wall,
        **requests.counted(opened),
        "shards": [_shard(run, there) for run in _runs(study.name)],
    }


def _runs(name: str) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate({"tags": {"all_": [f"study:{name}"]}})
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=wanted, limit=200)


def _shard(run: FlowRun, store: Store) -> dict[str, float]:
    """Seconds: of waiting for a worker, of the process's start, of loading, and of working on so many evaluations."""
    with get_client(sync_client=True) as client:
        states: list[State[Any]] = client.read_flow_run_states(run.id)
    when = {state.type.value: state.timestamp for state in states}
    shard = run.parameters["shard"]
    jobs = len(load_shard(shard, store))
    found = load_report(str(run.id), shard, jobs, store)
    assert found is not None and run.created is not None
    return {
        "evaluations": jobs,
        "waiting": (when["PENDING"] - run.created).total_seconds(),
        "starting": (when["RUNNING"] - when["PENDING"]).total_seconds(),
        "loading": found[0].loading,
        "working": found[0].working,
    }


if __name__ == "__main__":
    requests.count()
    figures = drive(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
    print(game.PREFIX + json.dumps(figures), flush=True)
