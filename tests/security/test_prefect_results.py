"""Prefect reads a kept result with whatever serializer the kept object names: so none of our flows and tasks keeps any.

Tasks: tests/test_tasks.py. A whole run under settings that ask for it: test_whole_run.py.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from prefect import Flow, Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import PickleSerializer

import flows
from tests.families.bomb import Bomb
from tests.test_tasks import EVERY_TASK


def every_flow() -> dict[str, Flow]:
    """All flows of the house by name, each module imported."""
    found: dict[str, Flow] = {}
    for module in pkgutil.walk_packages(flows.__path__, "flows."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Flow):
                found[value.name] = value
    return found


EVERY_FLOW = every_flow()


def test_flows_are_found() -> None:
    assert {"attribute", "reattribute", "validate", "evaluate-shard", "prepare-epoch", "opt-out"} <= EVERY_FLOW.keys()


@pytest.mark.parametrize("name", sorted(EVERY_FLOW))
def test_no_flow_keeps_its_result_whatever_a_persons_own_prefect_settings_say(name: str) -> None:
    each = EVERY_FLOW[name]
    assert each.persist_result is False and each.result_storage is None and each.result_serializer is None


@pytest.mark.parametrize("name", sorted(EVERY_TASK))
def test_no_task_looks_for_a_kept_result(name: str) -> None:
    each: Task = EVERY_TASK[name]
    assert each.cache_policy == NO_CACHE and each.cache_key_fn is None and each.result_storage_key is None
    changed = each.with_options(retries=3)  # as steps do it
    assert changed.persist_result is False and changed.cache_policy == NO_CACHE


def test_a_planted_result_would_run_where_results_are_kept(tmp_path: Path) -> None:
    """Why: the serializer is taken from the object. JSON as the reader's own choice is no defence."""
    marker = tmp_path / "executed"
    kept = ResultRecord(
        result=Bomb(marker), metadata=ResultRecordMetadata(serializer=PickleSerializer(), storage_key="k")
    ).serialize()
    assert not marker.exists()
    ResultRecord.deserialize(kept)
    assert marker.exists()
    assert flow(persist_result=None)(lambda: None).persist_result is None  # what settings decide, if we do not
    assert task(persist_result=True)(lambda: None).cache_policy != NO_CACHE
