"""What the command lines of the flows share: a study from a file, a Prefect API that answers, errors said once.

A flow runs in a process of its own, so that everything it has to tell the API is told before our server stops.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.lease import LeaseHeld
from infra.server import (
    ServerError,
    check_welcome,
    end_on_terminate,
    environment_of_flows,
    refusal,
    running_server,
    ui_url,
)
from infra.store import StoreError
from infra.study_file import StudyFileError
from infra.work_pool_types import WorkPoolError

# What a person can mend: said once, in full, without a traceback that would push it off the screen.
EXPECTED = (ValueError, StoreError, LeaseHeld, ServerError, WorkPoolError)
LINE = "%(asctime)s | %(message)s"
LOGGING = {
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": LINE,
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": LINE,
    "PREFECT_LOGGING_FORMATTERS_STANDARD_": "infra.console.Brief",  # its class, "()" in Prefect's logging.yml
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONUNBUFFERED": "1",
}


def parser_of(module: str, description: str | None, *, of_a_study: bool = True) -> argparse.ArgumentParser:
    """The arguments of `python -m <module>`: those of a study, and `--inside` for the process that runs the flow."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    if of_a_study:
        parser.add_argument("study", type=Path, help="a YAML preset, such as deployments/studies/openmoji.yaml")
        parser.add_argument("--set", action="append", default=[], metavar="section.field=value", help="change a field")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


def run(command: Callable[[], int]) -> int:
    """The exit code of a command: its own, 2 if the preset is wrong, 1 for what else a person can mend, 130 for Ctrl-C."""
    try:
        return command()
    except StudyFileError as error:
        print(error, file=sys.stderr)
        return 2
    except EXPECTED as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if not (said := refused_by_prefect(error)):
            raise
        print(said, file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:  # infra.cancelled.RunCancelled is one, which says more
        print(str(error) or "interrupted; start it again to go on where it was", file=sys.stderr)
        return 130


def refused_by_prefect(error: Exception) -> str:
    """What to tell a person whose Prefect API wants to know who asks; empty if it is another error. Prefect finds its
    passwords in more places than we know, so this is the error that it comes back with."""
    errors = sys.modules.get("prefect.exceptions")  # where it is not loaded, it has refused nobody
    if errors is None or not isinstance(error, errors.PrefectHTTPStatusError):
        return ""
    status = error.response.status_code
    return refusal(status, f"it answers {status}") if status in (401, 403) else ""


def in_own_process(module: str) -> int:
    """Run `python -m <module>` with our own arguments and `--inside`, under the Prefect API that answers, or one that is
    started for the length of the run."""
    end_on_terminate()
    print("looking for a Prefect API; if none answers, one is started (some seconds)", flush=True)
    with running_server() as ours:
        print(f"Prefect: {ui_url()}" + (" (started for this run)" if ours else ""), flush=True)
        check_welcome()
        code = _run_to_its_end([sys.executable, "-m", module, *sys.argv[1:], "--inside"])
    if code == 0:
        print(f"Prefect UI: {ui_url()}" + ("  (`make ui` starts it again, with this run in it)" if ours else ""))
    return code


def _run_to_its_end(command: list[str]) -> int:
    """Run the flow's process. If we are interrupted it is asked to end, with time to report that and to give its lease
    back, before our server stops."""
    # A session of its own, so that Ctrl-C in a terminal comes to it once, from here.
    process = subprocess.Popen(command, env={**LOGGING, **environment_of_flows()}, start_new_session=True)
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
