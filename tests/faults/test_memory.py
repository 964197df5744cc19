"""A machine without memory costs a coalition's try, and says what needs less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.model.memory import is_out_of_memory
from tests.faults.running import Nursery, changed
from tests.faults.scored_again import Unscored, unscored
from tests.faults.test_failing_coalition import assert_statement_names
from tests.flows.reading import table
from tests.small import EVALUATIONS

WORKER = {"mode": "processes", "workers": 1}


@pytest.fixture(scope="module")
def world(data: Path, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Unscored:
    return unscored(data, nursery, tmp_path_factory.mktemp("unscored") / "store")


@pytest.mark.parametrize("ask", [lambda: np.ones(2**50), lambda: torch.ones(2**50), lambda: bytearray(2**60)])
def test_a_refusal_of_memory_is_known_as_one_whoever_was_refused(ask) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as refused:
        ask()
    assert is_out_of_memory(refused.value)
    assert not is_out_of_memory(RuntimeError("the memory of better days"))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_coalition_whose_memory_was_refused_is_tried_again_in_a_fresh_worker(
    world: Unscored, nursery: Nursery, tmp_path: Path
) -> None:
    store = world.copy(tmp_path / "store")
    fault = {"FAULT": "asks for too much", "FAULT_IN": world.images, "FAULT_ONCE": str(tmp_path / "once")}
    run = nursery.start(changed(world.study, execution=WORKER), store.url, **fault)
    assert run.wait() == 0, run.said()
    assert "worker 0 could not get the memory it asked for in the middle of a coalition" in run.said()
    assert "Fewer execution.workers, a smaller sampling.batch_size" in run.said()
    assert run.said().count("worker 0 started on") == 2, "it went on in the worker whose memory was spent"
    evaluations = table(store, "small", "evaluations.parquet")
    assert len(evaluations) == EVALUATIONS and evaluations["failure"].isna().all()


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_coalition_that_gets_its_worker_killed_every_time_is_all_that_is_missing(
    world: Unscored, nursery: Nursery, tmp_path: Path
) -> None:
    store = world.copy(tmp_path / "store")
    tolerant = changed(world.study, execution={**WORKER, "retries": 1, "failure_tolerance": 0.1})
    run = nursery.finish(tolerant, store.url, FAULT="is killed", FAULT_IN=world.images)
    assert run.said().count("worker 0 started on") == 3
    reason = "ended with code -9 in the middle of a coalition; -9 means killed, often for lack of memory"
    assert_statement_names(store, world.members, reason)
