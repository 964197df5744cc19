"""Runs through work pools as tests start them: workers of both pools on one store, and a run from its form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from infra.job_templates import CPU_POOL, GPU_POOL
from infra.store import Store
from tasks.study import Study
from tests.orchestra import Worker, close_runs, running_worker


@contextlib.contextmanager
def workers(there: Mapping[str, str], store: Store, folder: Path) -> Iterator[tuple[Worker, Worker, Worker]]:
    """One that drives and two that evaluate, on this store."""
    ours = {**there, "CREDIT_STORE": store.url}
    with contextlib.ExitStack() as stack:
        stack.callback(close_runs, there)
        driver = stack.enter_context(running_worker(CPU_POOL, "driver", ours, folder))
        first, second = (stack.enter_context(running_worker(GPU_POOL, f"gpu-{i}", ours, folder)) for i in (0, 1))
        yield driver, first, second


def begin(study: Study) -> FlowRun:
    """Start it as the UI's form does."""
    run = run_deployment("attribute/small", parameters={"study": study.model_dump(mode="json")}, timeout=0)
    assert isinstance(run, FlowRun)
    return run
