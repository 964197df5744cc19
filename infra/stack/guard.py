"""Outlives a stack's supervisor that was killed, and ends what it left, in order: `python -m infra.stack.guard`.

It waits at the other end of a pipe which only the supervisor holds. When that ends without a farewell, the supervisor could
not end anything itself any more. If this process is killed too, what is left runs on until `make stack-down` or the next
`make stack`.
"""

from __future__ import annotations

import signal
import sys
from datetime import datetime
from pathlib import Path

from infra.stack import files as stack_files
from infra.stack.members import DEPLOY, OBJECTS, SERVER, WORKER, end_members
from infra.stack.types import Files

FAREWELL = b"farewell"
ENDS = (DEPLOY, WORKER, SERVER, OBJECTS)


def say(text: str) -> None:
    """A line of the stack's log."""
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S} | {text}", flush=True)


def main() -> int:
    """Wait for the supervisor's end; end the rest if it did not."""
    folder, stack = Path(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stdin.buffer.read() == FAREWELL:
        return 0
    say("the supervisor was killed; ending what it left")
    left = end_members(folder, say, stack=stack, parts=ENDS)
    state = stack_files.read_state(Files(folder))
    if not left and (state is None or state.name == stack):  # a stack that was started meanwhile has written its own
        stack_files.remove(Files(folder))
        say("everything has ended")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
