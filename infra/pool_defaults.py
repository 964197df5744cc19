"""Which defaults of a pool's job variables are people's, and which came with the pool.

Prefect keeps one default a variable, whoever set it. So what this project shipped is remembered beside it, in a Prefect
variable for each pool (the UI shows it under Variables): a default that is another one was set by somebody, in the UI or by
an earlier `make deploy`, and is kept; one that is the same makes way for that of a new version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.objects import WorkPool

Defaults = Mapping[str, Any]  # by job variable


def defaults_of(template: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults in a base job template; None for a variable that has none."""
    return {name: field.get("default") for name, field in template["variables"]["properties"].items()}


def shipped(client: SyncPrefectClient, pool: WorkPool | None) -> list[Defaults]:
    """What this project shipped with a pool. More than one where an upgrade was cut off; none where nobody remembers."""
    if pool is None:
        return []
    found = client.read_variable_by_name(_name(pool.name))
    value = None if found is None else found.value
    if not isinstance(value, dict) or value.get("kind") != pool.type or not isinstance(value.get("shipped"), list):
        return []
    return [each for each in value["shipped"] if isinstance(each, dict)]


def remember(client: SyncPrefectClient, pool: str, kind: str, defaults: Sequence[Defaults]) -> None:
    """Put down what was shipped with a pool."""
    name, value = _name(pool), {"kind": kind, "shipped": [dict(each) for each in defaults]}
    found = client.read_variable_by_name(name)
    if found is None:
        client.create_variable(VariableCreate(name=name, value=value, tags=["made by make deploy"]))
    elif found.value != value:
        client.update_variable(VariableUpdate(name=name, value=value))


def set_by_people(pool: WorkPool | None, ours: Defaults, before: Sequence[Defaults]) -> dict[str, Any]:
    """Defaults of a pool that did not come with it: the image, the nodes, the store. They are the installation's, and a
    deployment that does not mention them does not mean to forget them.

    Args:
        ours: what this version ships; a variable that it does not know is nobody's any more.
        before: what was shipped with the pool. Where nobody remembers, what is not ours was set by somebody.
    """
    if pool is None:
        return {}
    came = [*before, ours] if before else [ours]
    return {
        name: value
        for name, value in defaults_of(pool.base_job_template).items()
        if name in ours and value is not None and all(name not in each or value != each[name] for each in came)
    }


def _name(pool: str) -> str:
    return f"{pool.replace('-', '_')}_defaults_as_shipped"
