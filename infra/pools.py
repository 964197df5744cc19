"""The two work pools and their queues, made or brought up to date in a Prefect server.

    credit-cpu   drivers: `attribute`, `validate-data`, `collect-garbage`
    credit-gpu   evaluations; no more at a time than there are GPUs; queue `urgent` goes before `nightly`

A pool's job template is code (infra/templates) and is replaced; the defaults of its variables that somebody set, its limit,
whether it is paused, and queues that others made are left as they are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound

from infra.job_templates import CPU_POOL, GPU_POOL, POOLS, job_template

QUEUES: Mapping[str, int] = {"urgent": 1, "nightly": 10}  # of the GPU pool; 1 goes first
DESCRIPTIONS = {
    CPU_POOL: "Drives studies, checks data, keeps house: no GPU. Made by `make deploy`.",
    GPU_POOL: "Trains and evaluates, a card each. As many runs at a time as there are GPUs. Made by `make deploy`.",
}


class PoolError(ValueError):
    """A work pool cannot be made as asked; the message says what to do."""


@dataclass(frozen=True)
class Made:
    """What became of a pool.

    kind: process, docker or kubernetes; limit: runs at a time, None for no limit; queues: priority by name, 1 goes first;
    change: made, brought up to date, or as it was.
    """

    name: str
    kind: str
    limit: int | None
    queues: dict[str, int]
    change: str


def make_pools(
    client: SyncPrefectClient,
    kind: str,
    gpus: int | None,
    count_gpus: Callable[[], int],
    settings: Mapping[str, Mapping[str, Any]],
) -> list[Made]:
    """Make both pools, or bring them up to date. Doing it again changes nothing.

    Args:
        kind: process, docker or kubernetes.
        gpus: how many evaluations go on at a time; None leaves a pool's limit as it is, and counts for a new one.
        count_gpus: asked for a new pool, when `gpus` is None.
        settings: defaults of the job template's variables, by pool.

    Raises:
        PoolError: if a pool is there and of another kind. Then nothing has been changed.
        TemplateError: if the kind of pool has no such variable. Then nothing has been changed either.
    """
    there = {name: _read(client, name) for name in POOLS}
    for pool in there.values():
        if pool is not None and pool.type != kind:
            raise PoolError(
                f"the work pool '{pool.name}' is there and is of type {pool.type}, not {kind}, and a pool cannot change its "
                f"type. Either deploy to it as it is (--pools {pool.type}), or, when no run is in it, delete it "
                f"(prefect work-pool delete {pool.name}) and run this again"
            )
    templates = {
        name: job_template(kind, name, {**_set_before(kind, there[name]), **settings.get(name, {})}) for name in POOLS
    }
    limits = {CPU_POOL: None, GPU_POOL: _limit(there[GPU_POOL], gpus, count_gpus)}
    return [_make(client, name, kind, there[name], templates[name], limits[name]) for name in POOLS]


def kind_of(client: SyncPrefectClient, name: str) -> str | None:
    """The type of a work pool; None if there is none of this name."""
    pool = _read(client, name)
    return None if pool is None else pool.type


def _limit(pool: WorkPool | None, gpus: int | None, count_gpus: Callable[[], int]) -> int:
    if gpus is not None:
        return gpus
    if pool is not None and pool.concurrency_limit is not None:
        return pool.concurrency_limit
    return count_gpus()


def _make(
    client: SyncPrefectClient, name: str, kind: str, there: WorkPool | None, template: dict[str, Any], limit: int | None
) -> Made:
    """`limit` None: none for a new pool, and as it is for one that is there."""
    if there is None:
        client.create_work_pool(
            WorkPoolCreate(
                name=name,
                type=kind,
                description=DESCRIPTIONS[name],
                base_job_template=template,
                concurrency_limit=limit,
            )
        )
        change = "made"
    else:
        wanted: dict[str, Any] = {"description": DESCRIPTIONS[name], "base_job_template": template}
        if limit is not None:
            wanted["concurrency_limit"] = limit
        as_it_was = all(getattr(there, field) == value for field, value in wanted.items())
        if not as_it_was:
            client.update_work_pool(name, WorkPoolUpdate(**wanted))
        change = "as it was" if as_it_was else "brought up to date"
    if name == GPU_POOL:
        _queues(client, name)
    pool = client.read_work_pool(name)
    queues = {queue.name: queue.priority for queue in client.read_work_queues(work_pool_name=name)}
    return Made(name, pool.type, pool.concurrency_limit, dict(sorted(queues.items(), key=lambda q: q[1])), change)


def _set_before(kind: str, pool: WorkPool | None) -> dict[str, Any]:
    """Defaults of a pool's variables that somebody set, by an earlier `make deploy` or in the UI: the image, the nodes, the
    store. They are the installation's, and a deployment that does not mention them does not mean to forget them."""
    if pool is None:
        return {}
    ours = _defaults(job_template(kind, pool.name, None))
    return {
        name: value
        for name, value in _defaults(pool.base_job_template).items()
        if name in ours and value != ours[name] and value is not None
    }


def _defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    return {name: field.get("default") for name, field in template["variables"]["properties"].items()}


def _queues(client: SyncPrefectClient, pool: str) -> None:
    for name, priority in QUEUES.items():
        try:
            queue = client.read_work_queue_by_name(name, work_pool_name=pool)
        except ObjectNotFound:
            # Prefect keeps priorities apart: whoever has this one, such as the pool's own `default`, moves down.
            client.create_work_queue(name, priority=priority, work_pool_name=pool)
            continue
        if queue.priority != priority:
            # Not `client.update_work_queue`: it asks an address that lets two queues of a pool have one priority.
            client.request(
                "PATCH",
                "/work_pools/{work_pool_name}/queues/{name}",
                path_params={"work_pool_name": pool, "name": name},
                json={"priority": priority},
            )


def _read(client: SyncPrefectClient, name: str) -> WorkPool | None:
    try:
        return client.read_work_pool(name)
    except ObjectNotFound:
        return None
