"""`make ui`: the Prefect server with all runs so far, and the flows served, so that they can be started from their forms.

What is served runs on this machine, below this process. What `make deploy` has given to a work pool of the same server is
left to it: serving it too would take it away from the pool, and pause it in the end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flows.command import refused_by_prefect
from infra.server import ServerError, end_on_terminate, environment, running_server, ui_url
from infra.study_file import StudyFileError, load_preset
from tasks.study import Study

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

PRESETS = Path("deployments/studies")


def main() -> int:
    """Serve each preset to be run, to be run again and to be checked, and what is of the store, until interrupted."""
    end_on_terminate()
    try:
        studies = [load_preset(path, Study) for path in sorted(PRESETS.glob("*.yaml"))]
        with running_server():
            os.environ.update(environment())  # before Prefect is imported: it reads its settings once
            print(
                f"\nPrefect UI:  {ui_url()}\nStart a run: {ui_url()}/deployments\nArtifacts:   {ui_url()}/v2/artifacts"
            )
            print("Ctrl-C ends it.\n", flush=True)
            _serve(studies)
    except (ServerError, StudyFileError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if not (said := refused_by_prefect(error)):
            raise
        print(said, file=sys.stderr)
        return 1
    return 0


def _serve(studies: list[Study]) -> None:
    from prefect import serve

    ours = []
    for name, deployment in deployments(studies).items():
        if pool := _work_pool_of(name):
            print(f"{name} is deployed to the work pool {pool}, and not served here", flush=True)
        else:
            ours.append(deployment)
    if ours:
        serve(*ours)
    else:
        signal.pause()


def deployments(studies: list[Study]) -> dict[str, RunnerDeployment]:
    """What is served, by name: each study to be run, to be run again and to be checked; and what is of the store."""
    from flows.attribute import attribute
    from flows.collect_garbage import collect_garbage
    from flows.history import history
    from flows.opt_out import opt_out
    from flows.reattribute import reattribute
    from flows.validate import validate
    from flows.validate_data import validate_data

    made = {
        f"{flow.name}/{study.name}": flow.to_deployment(
            name=study.name, parameters={"study": study.model_dump(mode="json")}, tags=["credit"]
        )
        for study in studies
        for flow in (attribute, reattribute, validate_data, validate)
    }
    for of_store in (collect_garbage, opt_out, history):
        made[f"{of_store.name}/store"] = of_store.to_deployment(name="store", tags=["credit"])
    return {name: cast("RunnerDeployment", each) for name, each in made.items()}  # called synchronously: no coroutines


def _work_pool_of(deployment: str) -> str | None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            return client.read_deployment_by_name(deployment).work_pool_name
    except ObjectNotFound:
        return None


if __name__ == "__main__":
    sys.exit(main())
