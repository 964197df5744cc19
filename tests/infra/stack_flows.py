"""What a stack is tested with in place of our deployments, which take long to start: `python -m tests.infra.stack_flows`
makes both work pools and a deployment on each."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

from prefect import Flow, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists

from infra.job_templates import CPU_POOL, GPU_POOL
from infra.settings import store_url
from infra.store import Store

ROOT = Path(__file__).parents[2]


@flow(name="remember")
def remember(key: str, text: str) -> None:
    """Put something into the stack's store, and be ready."""
    store = Store(store_url())
    store.check()
    store.write(key, text.encode())


@flow(name="hold")
def hold(key: str, seconds: float) -> None:
    """Say into the store that it has begun; take long; say how it ended."""
    store = Store(store_url())
    store.write(f"{key}-began", b"")
    try:
        time.sleep(seconds)
    except BaseException as error:
        store.write(f"{key}-ended", type(error).__name__.encode())
        raise
    store.write(f"{key}-ended", b"done")


async def _deploy() -> None:
    async with get_client() as client:
        for pool in (CPU_POOL, GPU_POOL):
            with contextlib.suppress(ObjectAlreadyExists):
                await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    for name, pool in (("remember", CPU_POOL), ("hold", GPU_POOL)):
        found = await Flow.afrom_source(source=str(ROOT), entrypoint=f"tests/infra/stack_flows.py:{name}")
        await found.adeploy(name="test", work_pool_name=pool, print_next_steps=False)


if __name__ == "__main__":
    asyncio.run(_deploy())
    sys.exit(0)
