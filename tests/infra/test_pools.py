"""A pool's defaults in an upgrade: what people set stays, what came with the pool makes way. On a real Prefect server."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate

from infra import pools
from infra.job_templates import CPU_POOL, GPU_POOL, POOLS, job_template
from infra.pool_defaults import defaults_of
from infra.pools import Made, make_pools
from tests.orchestra import prefect_server

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

THEIRS = {"image": "registry.example.org/credit:1"}
NEXT = {"image": "diffusion-credit:0.2.0", "shared_memory": "3g", "network_mode": "bridge"}  # of a later version


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as there, SyncPrefectClient(there["PREFECT_API_URL"]) as it:
        yield it


@pytest.fixture
def client(server: SyncPrefectClient) -> Iterator[SyncPrefectClient]:
    """A server without pools."""
    yield server
    for name in POOLS:
        server.delete_work_pool(name)


def make(client: SyncPrefectClient, settings: dict[str, Any] | None = None) -> list[Made]:
    return make_pools(client, "docker", 2, lambda: 2, {name: settings or {} for name in POOLS})


def now(client: SyncPrefectClient, pool: str = GPU_POOL) -> dict[str, Any]:
    return defaults_of(client.read_work_pool(pool).base_job_template)


def in_the_ui(client: SyncPrefectClient, name: str, value: Any) -> None:
    template = copy.deepcopy(client.read_work_pool(GPU_POOL).base_job_template)
    template["variables"]["properties"][name]["default"] = value
    client.update_work_pool(GPU_POOL, WorkPoolUpdate(base_job_template=template))


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this is the next version."""

    def later(kind: str, pool: str, defaults: Any = None) -> dict[str, Any]:
        return job_template(kind, pool, {**NEXT, **(defaults or {})})

    monkeypatch.setattr(pools, "job_template", later)


def test_an_upgrade_brings_its_own_defaults_and_keeps_what_people_set(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client, THEIRS)
    in_the_ui(client, "mem_limit", "9g")
    upgrade(monkeypatch)
    made = {pool.name: pool for pool in make(client)}
    assert {pool.change for pool in made.values()} == {"brought up to date"}
    assert {name: now(client)[name] for name in (*NEXT, "mem_limit")} == {**NEXT, **THEIRS, "mem_limit": "9g"}
    assert made[GPU_POOL].kept == {"image": (THEIRS["image"], NEXT["image"]), "mem_limit": ("9g", None)}
    assert made[CPU_POOL].kept.keys() == {"image"}
    assert {pool.change for pool in make(client)} == {"as it was"}
    (again, _) = make(client, {"image": "registry.example.org/credit:2"})
    assert not again.kept and now(client)["image"] == "registry.example.org/credit:2"


def test_defaults_that_nobody_set_are_the_new_versions_also_when_an_upgrade_was_cut_off(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(client)
    upgrade(monkeypatch)
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):

        def stops(*arguments: Any) -> Made:
            raise KeyboardInterrupt

        cut.setattr(pools, "_make", stops)
        make(client)
    assert now(client)["image"] != NEXT["image"]
    assert not any(pool.kept for pool in make(client))
    for name in POOLS:
        assert {key: now(client, name)[key] for key in NEXT} == NEXT


def test_pools_of_before_this_was_remembered_keep_what_is_not_ours(client: SyncPrefectClient) -> None:
    make(client, THEIRS)
    for name in POOLS:
        client.delete_variable_by_name(f"{name.replace('-', '_')}_defaults_as_shipped")
    assert all(pool.kept.keys() == {"image"} for pool in make(client)) and now(client)["image"] == THEIRS["image"]
