"""The two work pools and their queues, made or brought up to date in a Prefect server.

    credit-cpu   drivers: `attribute`, `validate-data`, `collect-garbage`
    credit-gpu   evaluations; no more at a time than there are GPUs; queue `urgent` goes before `nightly`

A pool's job template is code (infra/templates) and is replaced; the defaults of its variables that somebody set
(infra.pool_defaults), its limit, whether it is paused, and queues that others made are left as they are found.
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
from infra.pool_defaults import defaults_of, remember, set_by_people, shipped

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
    change: made, brought up to date, or as it was. kept: defaults of job variables that were set before and are not this
    version's own, each with that one beside it: (what it is, what this version ships).
    """

    name: str
    kind: str
    limit: int | None
    queues: dict[str, int]
    change: str
    kept: Mapping[str, tuple[Any, Any]]


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
    ours = {name: defaults_of(job_template(kind, name)) for name in POOLS}
    before = {name: shipped(client, there[name]) for name in POOLS}
    kept = {name: set_by_people(there[name], ours[name], before[name]) for name in POOLS}
    templates = {name: job_template(kind, name, {**kept[name], **settings.get(name, {})}) for name in POOLS}
    limits = {CPU_POOL: None, GPU_POOL: _limit(there[GPU_POOL], gpus, count_gpus)}
    made = []
    for name in POOLS:
        if ours[name] not in before[name]:
            # First, and beside what was: cut off after this, the next time still knows the pool's defaults as shipped.
            remember(client, name, kind, [*before[name], ours[name]])
        stays = {
            key: (value, ours[name][key]) for key, value in kept[name].items() if key not in settings.get(name, {})
        }
        made.append(_make(client, name, kind, there[name], templates[name], limits[name], stays))
        remember(client, name, kind, [ours[name]])
    return made


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
    client: SyncPrefectClient,
    name: str,
    kind: str,
    there: WorkPool | None,
    template: dict[str, Any],
    limit: int | None,
    kept: Mapping[str, tuple[Any, Any]],
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
    by_priority = dict(sorted(queues.items(), key=lambda queue: queue[1]))
    return Made(name, pool.type, pool.concurrency_limit, by_priority, change, kept)


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
