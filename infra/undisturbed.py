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


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """SIGTERM in this block has its effect after it, if the block is in the main thread. Whoever sends it kills the process
    after a while, so a block that hangs does not hang for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)
