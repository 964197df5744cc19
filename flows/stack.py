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
from infra.settings import STATE_FOLDER
from infra.stack_files import State
from infra.stack_types import Files, StackError, plan_of

DEPLOY = (sys.executable, "-m", "flows.deploy")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.stack", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("do", choices=["up", "down", "status"])
    parser.add_argument("--workers", type=int, default=2, help="how many evaluate coalitions (default 2)")
    parser.add_argument("--folder", type=Path, default=STATE_FOLDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    try:
        if arguments.do == "up":
            start(arguments.folder, arguments.workers)
        elif arguments.do == "down":
            ran = stack.down(arguments.folder, say)
            say("the stack has ended; its data stay, make stack starts it again" if ran else "no stack was running")
        else:
            up, lines = stack.status(arguments.folder)
            print("\n".join(lines))
            return 0 if up else 1
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def start(folder: Path = STATE_FOLDER, workers: int = 2) -> State:
    """Start the stack unless it is up, and say where everything is.

    Raises:
        StackError, ServerError: if it does not come up.
    """
    try:
        state = stack.up(plan_of(DEPLOY, workers=workers, folder=folder), say)
    except KeyboardInterrupt:
        raise StackError("interrupted; what was started has ended again") from None
    files = Files(folder)
    print(
        f"\nPrefect UI:    {state.ui}"
        f"\nS3 endpoint:   {state.endpoint}   store {state.store}"
        f"\nWorkers:       {', '.join(state.workers)}"
        f"\nLogs:          {files.logs}/"
        f"\nUse it:        set -a; . {files.settings}; set +a     (settings and credentials; this user only)"
        f"\nRun the demo:  make demo-stack"
        f"\nEnd it:        make stack-down\n",
        flush=True,
    )
    return state


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
