"""Giving back what a process holds, though it is asked to end meanwhile.

A run that is cancelled may be asked twice, by its worker and by itself, and the second SIGTERM would come in the middle of
what the first one began. The handler of the rest of the run is not touched: Prefect looks whether it is its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

ASKS = (signal.SIGTERM, signal.SIGUSR1)  # a worker's, and infra.cancelled's


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """ASKS in this block have their effect after it, if the block is in the main thread. Ctrl-C is none of them: a person
    must be able to end a block that hangs."""
    before = {number: signal.getsignal(number) for number in ASKS}
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or None in before.values():  # None: a handler that is not Python's to put back
        yield
        return
    came = set[int]()
    for number in ASKS:
        signal.signal(number, lambda number, frame: came.add(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for asked in came:
            os.kill(os.getpid(), asked)
