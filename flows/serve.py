"""`make ui`: the Prefect server with all runs so far, and `attribute` served, so that it can be started from the form."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra.server import ServerError, end_on_terminate, environment, running_server, ui_url
from infra.study_file import StudyFileError, load_preset
from tasks.study import Study

PRESETS = Path("deployments/studies")


def main() -> int:
    """Serve every preset as a deployment of `attribute` until interrupted."""
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
    return 0


def _serve(studies: list[Study]) -> None:
    from prefect import serve
    from prefect.deployments.runner import RunnerDeployment

    from flows.attribute import attribute

    deployments = []
    for study in studies:
        deployment = attribute.to_deployment(name=study.name, parameters={"study": study.model_dump(mode="json")})
        assert isinstance(deployment, RunnerDeployment)  # called synchronously, it is no coroutine
        deployments.append(deployment)
    serve(*deployments)


if __name__ == "__main__":
    sys.exit(main())
