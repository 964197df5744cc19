"""`make deploy`: the work pools, their queues and limits, all deployments of deployments/prefect.yaml, and the automation
that marks runs of machines that are gone.

Run from the repository's root, once and after every change; doing it twice changes nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows.command import run
from flows.presets import preset
from infra.server import ServerError, answers, api_url, end_on_terminate, environment, refusal, ui_url
from infra.settings import store_url
from infra.store import Store
from infra.study_file import StudyFileError
from tasks.study import ExecutionSpec

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

    from infra.automations import Zombies
    from infra.pools import Made

FILE = Path("deployments/prefect.yaml")
IN_IMAGE = "/opt/app"  # where infra/images/Dockerfile puts this checkout
_TOLD_TO_RUNS = {"credit_store": "CREDIT_STORE", "s3_endpoint": "AWS_ENDPOINT_URL_S3", "aws_region": "AWS_REGION"}
_PRESET = f"{preset.__module__}.{preset.__name__}"


def main() -> int:
    """Deploy as the command line says."""
    end_on_terminate()
    return deploy(sys.argv[1:])


def deploy(command: Sequence[str]) -> int:
    """Deploy; 0 if all is there as the file says, 2 if a preset is wrong, 1 for what else a person can mend."""
    arguments = _parser().parse_args(command)
    return run(lambda: _deploy(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.deploy", description=__doc__)
    parser.add_argument(
        "--pools", choices=("process", "docker", "kubernetes"), help="type of both; default: as they are, else process"
    )
    parser.add_argument(
        "--gpus",
        type=_positive,
        help="evaluations at a time; default: as the pool has it, else this machine's GPUs, else its cores",
    )
    parser.add_argument("--image", help="docker, kubernetes: the image in which flows run")
    parser.add_argument(
        "--project-dir", help=f"where the flows are when they run; default: here, or {IN_IMAGE} in images"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[POOL.]VARIABLE=VALUE",
        help="default of a job variable, as YAML, such as credit-gpu.node_selector={gpu: a100} (repeat)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one is needed; to hold the work back, pause the pool in the UI")
    return number


def _deploy(arguments: argparse.Namespace) -> int:
    there = answers(api_url())
    arguments.pools = arguments.pools or (_kind_there() if there else None) or "process"
    settings = _settings(arguments)
    if not there:
        raise ServerError(
            f"no Prefect API answers at {api_url()}; start one, or set PREFECT_API_URL to yours; `make stack` does all of it"
        )
    os.environ.update(environment())  # before Prefect is imported: it reads its settings once
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    from infra.deploy import DeployError, deploy_all
    from infra.pools import make_pools

    wanted = wanted_deployments(FILE)
    project = arguments.project_dir or (str(Path.cwd()) if arguments.pools == "process" else IN_IMAGE)
    try:
        with get_client(sync_client=True) as client:
            pools = make_pools(client, arguments.pools, arguments.gpus, lambda: _count_gpus(arguments.pools), settings)
            print(f"work pools are there; deploying {FILE} (some seconds)", flush=True)
            deployments = deploy_all(client, FILE, wanted, project)
            zombies = _zombies(client, {name.partition("/")[0] for name in deployments})
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    except PrefectHTTPStatusError as error:
        raise ServerError(refusal(error.response.status_code, str(error))) from error
    except httpx.TransportError as error:
        raise ServerError(f"the Prefect API at {api_url()} stopped answering: {error!r}; run this again") from error
    _say(pools, deployments, zombies)
    return 0


def _zombies(client: SyncPrefectClient, flows: Collection[str]) -> list[Zombies] | str:
    """The automations; or why there are none, which takes nothing from what is deployed."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    from infra.automations import mark_zombies

    try:
        return mark_zombies(client, flows)
    except PrefectHTTPStatusError as error:
        return refusal(error.response.status_code, str(error))
    except httpx.TransportError as error:
        return f"the Prefect API at {api_url()} stopped answering: {error!r}"


def _kind_there() -> str | None:
    """The type of the work pools that are there already."""
    os.environ.update(environment())  # before Prefect is imported: it reads its settings once
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    from infra.job_templates import GPU_POOL
    from infra.pools import kind_of

    try:
        with get_client(sync_client=True) as client:
            return kind_of(client, GPU_POOL)
    except PrefectHTTPStatusError as error:
        raise ServerError(refusal(error.response.status_code, str(error))) from error
    except httpx.TransportError as error:
        raise ServerError(f"the Prefect API at {api_url()} stopped answering: {error!r}; run this again") from error


def _settings(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Defaults of the job templates' variables by pool: those of the environment, and what was asked for."""
    from infra.job_templates import POOLS

    store = Store(store_url())  # refuses an address with credentials in it, which everybody could read in the UI
    in_containers = arguments.pools != "process"
    if in_containers and not os.environ.get("CREDIT_STORE"):
        raise ValueError(
            f"CREDIT_STORE is not set, and {arguments.pools} runs do not share {store.url}; set it to a bucket, "
            "s3://bucket/prefix, which they all reach (docs/storage.md)"
        )
    if arguments.project_dir and not Path(arguments.project_dir).is_absolute():
        raise ValueError(f"--project-dir {arguments.project_dir}: write the whole path; workers stand elsewhere")
    if arguments.image and not in_containers:
        raise ValueError("--image is for --pools docker and kubernetes: processes run in no image")
    common = {name: os.environ[variable] for name, variable in _TOLD_TO_RUNS.items() if os.environ.get(variable)}
    if arguments.image:
        common["image"] = arguments.image
    settings: dict[str, dict[str, Any]] = {pool: dict(common) for pool in POOLS}
    for text in arguments.set:
        place, equals, value = text.partition("=")
        pool, dot, name = place.rpartition(".")
        if not equals or not name or (dot and pool not in POOLS):
            raise ValueError(
                f"--set {text}: write variable=value, or {' or '.join(f'{p}.variable=value' for p in POOLS)}"
            )
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {text}: the value is not YAML: {error}") from error
        for each in [pool] if dot else POOLS:
            settings[each][name] = parsed
    return settings


def wanted_deployments(path: Path) -> list[dict[str, Any]]:
    """The deployments of a prefect.yaml. Every preset is read once, so that what is wrong with one is said without Prefect's
    traceback around it.

    Raises:
        PrefectFileError: if it is the file that is wrong.
        StudyFileError: naming deployment, preset and field.
    """
    from infra.prefect_file import read_prefect_file

    wanted = read_prefect_file(path)
    for entry in wanted:
        build = entry.get("build") or []
        for step in [build] if isinstance(build, dict) else build:
            if _PRESET not in step:
                continue
            inputs = {name: value for name, value in step[_PRESET].items() if name != "id"}
            try:
                preset(**inputs)
            except StudyFileError as error:
                raise StudyFileError(f"{path}: {entry['entrypoint']} '{entry['name']}': {error}") from error
    return wanted


def _count_gpus(kind: str) -> int:
    """As many evaluations as go on at a time on this machine."""
    if kind == "kubernetes":
        raise ValueError("how many GPUs the cluster has for this is not seen from here: say --gpus N")
    from tasks.evaluate.workers import workers_of  # imports PyTorch

    return workers_of(ExecutionSpec())


def _say(pools: Sequence[Made], deployments: Mapping[str, DeploymentResponse], zombies: list[Zombies] | str) -> None:
    print("\nWork pools")
    for pool in pools:
        limit = "no limit" if pool.limit is None else f"{pool.limit} at a time"
        queues = ", ".join(f"{name} ({priority})" for name, priority in pool.queues.items())
        print(f"  {pool.name:<11} {pool.kind}, {limit}, {pool.change}; queues by priority: {queues}")
        if others := sorted(pool.kept.keys() - {"image"}):
            print(f"    kept as they were set before: {', '.join(others)}")
        if "image" in pool.kept:
            kept, ours = pool.kept["image"]
            print(
                f"    ITS RUNS USE THE IMAGE {kept}, as it was set before; this version's own is {ours}.\n"
                "    After an upgrade build and push one from this checkout, and run: make deploy IMAGE=<that one>"
            )
    print("\nDeployments")
    for name, each in deployments.items():
        print(f"  {name:<28} {each.work_pool_name} / {each.work_queue_name}")
        for schedule in each.schedules:
            print(f"    schedule {schedule.slug}: {'on' if schedule.active else 'off; switch it on in the UI'}")
    _say_automations(zombies)
    prefect = Path(sys.executable).with_name("prefect")
    command = str(prefect.relative_to(Path.cwd())) if prefect.is_relative_to(Path.cwd()) else "prefect"
    start = f"PREFECT_API_URL={shlex.quote(api_url())} {command} worker start --pool"
    print(
        "\nStart workers: one for the drivers, and one on each machine with GPUs; its --limit is the number of its GPUs"
    )
    for pool in pools:
        print(f"  {start} {pool.name}" + (f" --limit {pool.limit}" if pool.limit else ""))
    if os.environ.get("PREFECT_API_AUTH_STRING"):
        print("  with PREFECT_API_AUTH_STRING in their environment too")
    print(f"\nPrefect UI:  {ui_url()}\nStart a run: {ui_url()}/deployments", flush=True)


def _say_automations(zombies: list[Zombies] | str) -> None:
    lost = "runs of machines that are gone stay Running or Pending, and hold a pool's places"
    if isinstance(zombies, str):
        print(f"\nAutomations\n  WARNING: there are none, {lost}: {zombies}. All else is deployed; run this again")
        return
    print("\nAutomations")
    for each in zombies:
        print(f"  {each.name}: {each.change}")
        if not each.ours:
            print("    To have this version's own, delete it in the UI (Automations) and run this again")
        if not each.enabled:
            print(f"    IT IS SWITCHED OFF, and stays so: {lost}")


if __name__ == "__main__":
    sys.exit(main())
