"""Run a study from the command line: `python -m flows.run deployments/studies/openmoji.yaml`.

Uses the Prefect API that answers; starts one for the length of the run if none does. The flow runs in a process of its own,
so that everything it has to tell the API is told before our server stops.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from infra.lease import LeaseHeld
from infra.server import ServerError, end_on_terminate, environment, running_server, ui_url
from infra.store import StoreError
from infra.study_file import StudyFileError, load_preset
from tasks.study import Study

# What a person can mend: said once, in full, without a traceback that would push it off the screen.
EXPECTED = (ValueError, StoreError, LeaseHeld, ServerError)
LINE = "%(asctime)s | %(message)s"
LOGGING = {
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": LINE,
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": LINE,
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONUNBUFFERED": "1",
}


def main() -> int:
    """Run `attribute` on a preset; 0 if a statement was published, 2 if the preset is wrong."""
    parser = argparse.ArgumentParser(prog="python -m flows.run", description=__doc__)
    parser.add_argument("study", type=Path, help="a YAML preset, such as deployments/studies/openmoji.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="section.field=value", help="change a field")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        study = load_preset(arguments.study, Study, arguments.set)
        if arguments.inside:
            return _attribute(study)
        end_on_terminate()
        print("looking for a Prefect API; if none answers, one is started (some seconds)", flush=True)
        with running_server() as ours:
            print(f"Prefect: {ui_url()}" + (" (started for this run)" if ours else ""), flush=True)
            command = [sys.executable, "-m", "flows.run", *sys.argv[1:], "--inside"]
            code = _run_to_its_end(command)
        if code == 0:
            print(f"Prefect UI: {ui_url()}" + ("  (`make ui` starts it again, with this run in it)" if ours else ""))
        return code
    except StudyFileError as error:
        print(error, file=sys.stderr)
        return 2
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; start it again to go on where it was", file=sys.stderr)
        return 130


def _run_to_its_end(command: list[str]) -> int:
    """Run the flow's process. If we are interrupted it is asked to end, with time to report that and to give its lease
    back, before our server stops."""
    # A session of its own, so that Ctrl-C in a terminal comes to it once, from here.
    process = subprocess.Popen(command, env={**LOGGING, **environment()}, start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        for ask, patience in ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            process.send_signal(ask)
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        raise


def _attribute(study: Study) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.attribute import attribute  # imports Prefect, which reads its settings from the environment once
    from tasks.evaluate.failures import TooManyFailures

    try:
        where = attribute(study)
    except TooManyFailures as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nStatement:  {where}/report.html\nTable:      {where}/credits.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
