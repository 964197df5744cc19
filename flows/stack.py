"""`make stack` and `make stack-down`: servers, deployments and workers on this machine, in the background, loopback only.

python -m flows.stack up [--workers 2]     0 when everything answers, 1 and the reason if something does not come up
python -m flows.stack down                 0 when everything is gone; data stay
python -m flows.stack status               0 if everything answers
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.command import run
from infra import stack
from infra.server import end_on_terminate
from infra.settings import STATE_FOLDER
from infra.stack.files import State
from infra.stack.types import Files, plan_of


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.stack", description="Servers, deployments and workers on this machine, in the background."
    )
    parser.add_argument("do", choices=["up", "down", "status"])
    parser.add_argument("--workers", type=int, default=2, help="how many evaluate coalitions (default 2)")
    parser.add_argument("--folder", type=Path, default=STATE_FOLDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    end_on_terminate()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    if arguments.do == "up":
        print(_where(start(arguments.folder, arguments.workers), Files(arguments.folder)), flush=True)
    elif arguments.do == "down":
        ran = stack.down(arguments.folder, say)
        say("the stack has ended; its data stay, make stack starts it again" if ran else "no stack was running")
    else:
        up, lines = stack.status(arguments.folder)
        print("\n".join(lines))
        return 0 if up else 1
    return 0


def start(folder: Path = STATE_FOLDER, workers: int = 2) -> State:
    """Start the stack with our deployments, unless it is up.

    Raises:
        StackError, ServerError: if it does not come up.
    """
    deploy = (sys.executable, "-m", "flows.deploy", "--pools", "process", "--gpus", str(workers))
    return stack.up(plan_of(deploy, workers=workers, folder=folder), say)


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)


def _where(state: State, files: Files) -> str:
    return f"""
Prefect UI:    {state.ui}
S3 endpoint:   {state.endpoint}, store {state.store}
Workers:       {", ".join(state.workers)}
Logs:          {files.logs}/
Use it:        set -a; . {files.settings}; set +a      (settings and credentials, for this user only)
Run the demo:  make demo-stack
End it:        make stack-down
"""


if __name__ == "__main__":
    sys.exit(main())
