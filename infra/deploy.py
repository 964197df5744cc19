"""Prefect's own `deploy` of a whole prefect.yaml, without a terminal; and whether it came out as the file says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter
from prefect.client.schemas.objects import DeploymentStatus
from prefect.client.schemas.responses import DeploymentResponse

from infra.prefect_file import PROJECT_DIR

Key = tuple[str, str]  # entrypoint and name: in the file as well as on the server


class DeployError(RuntimeError):
    """Prefect could not deploy the file, or did something else than it says."""


def deploy_all(
    client: SyncPrefectClient, prefect_file: Path, wanted: Sequence[Mapping[str, Any]], project_dir: str
) -> dict[str, DeploymentResponse]:
    """Make all deployments of the file, or bring them up to date; what is on the server beside them stays.

    Schedules that are there already stay switched on or off as they are: that is done in the UI, and a new version of the
    code must not undo it.

    Args:
        wanted: what `read_prefect_file` found in the file.
        project_dir: where the flows are on the machine, or in the image, that runs them; absolute.

    Returns:
        The deployments as they are on the server now, by name ("flow/deployment"), in the file's order.

    Raises:
        DeployError: if somebody serves one of them without a work pool, `prefect deploy` fails, or a deployment came out
            otherwise than the file says.
    """
    before = _read(client, wanted)
    _refuse_served(before)
    try:
        _prefect_deploy(prefect_file, project_dir)
    finally:
        _switch_schedules(client, before, _read(client, wanted))
    after = _read(client, wanted)
    wrong = [text for entry in wanted for text in _differences(client, entry, after.get(_key(entry)))]
    if wrong:
        raise DeployError("\n".join([f"{prefect_file} was deployed, and not as it was meant:", *wrong]))
    in_order = [after[_key(entry)] for entry in wanted]
    return {f"{client.read_flow(each.flow_id).name}/{each.name}": each for each in in_order}


def _refuse_served(before: Mapping[Key, DeploymentResponse]) -> None:
    """Whoever serves a deployment would go on taking its runs from the work pool, and pause it in the end."""
    served = [
        name
        for (_, name), d in before.items()
        if d.work_pool_name is None and d.status == DeploymentStatus.READY and not d.paused
    ]
    if served:
        raise DeployError(
            f"deployments of the same name ({', '.join(sorted(set(served)))}) are being served on this Prefect server, by "
            "`make ui` perhaps: end that first. If nothing serves them any more, try again in a minute"
        )


def _differences(
    client: SyncPrefectClient, entry: Mapping[str, Any], found: DeploymentResponse | None
) -> Iterator[str]:
    """What Prefect left out, or kept without ever using it, of a deployment; it says nothing of either."""
    where = f"- {entry['entrypoint']} '{entry['name']}'"
    if found is None:
        yield f"{where} is not there"
        return
    for name in sorted((entry.get("parameters") or {}).keys() - found.parameters.keys()):
        yield f"{where}: parameter '{name}' is missing; what it refers to came out of no build step"
    taken = (found.parameter_openapi_schema or {}).get("properties", {})
    for name in sorted(found.parameters.keys() - taken):
        yield f"{where}: its flow takes no parameter '{name}'; it takes {', '.join(taken) or 'none'}"
    if found.job_variables:
        pool = client.read_work_pool(str(found.work_pool_name))
        variables = pool.base_job_template["variables"]["properties"]
        for name in sorted(found.job_variables.keys() - variables):
            yield f"{where}: a {pool.type} work pool has no variable '{name}'; it has {', '.join(sorted(variables))}"


def _prefect_deploy(prefect_file: Path, project_dir: str) -> None:
    # Entry points and the build steps' modules are found from the working directory: the repository's root.
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file)]
    environment = {**os.environ, PROJECT_DIR: project_dir, "NO_COLOR": "1", "COLUMNS": "120"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise DeployError(f"prefect deploy ended with code {done.returncode}:\n{done.stdout.strip()}")


def _read(client: SyncPrefectClient, wanted: Collection[Mapping[str, Any]]) -> dict[Key, DeploymentResponse]:
    """Those of the wanted deployments that are on the server."""
    keys = {_key(entry) for entry in wanted}
    names = DeploymentFilter.model_validate({"name": {"any_": sorted({name for _, name in keys})}})
    found = {(each.entrypoint or "", each.name): each for each in client.read_deployments(deployment_filter=names)}
    return {key: each for key, each in found.items() if key in keys}


def _key(entry: Mapping[str, Any]) -> Key:
    return str(entry["entrypoint"]), str(entry["name"])


def _switch_schedules(
    client: SyncPrefectClient, before: Mapping[Key, DeploymentResponse], after: Mapping[Key, DeploymentResponse]
) -> None:
    for key, deployment in after.items():
        was = {each.slug: each.active for each in before[key].schedules} if key in before else {}
        for schedule in deployment.schedules:
            if schedule.active != was.get(schedule.slug, schedule.active):
                client.update_deployment_schedule(deployment.id, schedule.id, active=was[schedule.slug])
