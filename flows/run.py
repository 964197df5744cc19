"""Run a study from the command line: `python -m flows.run deployments/studies/openmoji.yaml`.

Uses the Prefect API that answers; starts one for the length of the run if none does.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.lease import LeaseHeld
from infra.server import ServerError, environment, running_server, ui_url
from infra.store import StoreError
from infra.study_file import StudyFileError, load_preset
from tasks.study import Study

# Said once and in full by us; the traceback would only push it off the screen.
EXPECTED = (ValueError, StoreError, LeaseHeld, ServerError)


def main() -> int:
    """Run `attribute` on a preset; 0 if a statement was published."""
    parser = argparse.ArgumentParser(prog="python -m flows.run", description=__doc__)
    parser.add_argument("study", type=Path, help="a YAML preset, such as deployments/studies/openmoji.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="section.field=value", help="change a field")
    arguments = parser.parse_args()
    try:
        study = load_preset(arguments.study, Study, arguments.set)
        os.environ.update(environment())  # before Prefect is imported: it reads its settings once
        os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT", "%(asctime)s.%(msecs)03d | %(message)s")
        os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT", "%(asctime)s.%(msecs)03d |   %(message)s")
        print("looking for a Prefect API; if none answers, one is started (about 10 s)", flush=True)
        with running_server() as ours:
            print(f"Prefect: {ui_url()}" + (" (started for this run)" if ours else ""), flush=True)
            where = _attribute(study)
    except StudyFileError as error:
        print(error, file=sys.stderr)
        return 2
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"\nStatement:  {where}/report.html\nTable:      {where}/credits.csv")
    print(f"Prefect UI: {ui_url()}" + ("  (run `make ui` to look at this run there)" if ours else ""))
    return 0


def _attribute(study: Study) -> str:
    from flows.attribute import attribute

    return attribute(study)


if __name__ == "__main__":
    sys.exit(main())
