"""Which card a run takes on a machine with several: one that no other run of this machine has taken.

A worker of a process pool starts runs, and knows nothing of cards. So each run takes a lock on a file named by the card, and
holds it for as long as its process lives: the system gives it back when the process ends, however it ends. Workers that were
given cards of their own (CUDA_VISIBLE_DEVICES, a container, a pod) see only those. A card has the same name whoever looks at
it, but locks are shared only by runs of one user with one folder for temporary files: others need cards of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

SAY_EVERY = 60.0  # seconds between complaints while all cards are taken
LOOK_EVERY = 1.0  # seconds


@contextlib.contextmanager
def free_card(cards: Sequence[str], say: Callable[[str], None], folder: Path | None = None) -> Iterator[int]:
    """The position of a card that is ours for the length of the block; waits while all are taken.

    Args:
        cards: names of the cards that this process sees, such as their UUIDs; none is no card, and position 0.
        folder: where the locks are; this user's own folder for temporary files if None.
    """
    if not cards:
        yield 0
        return
    folder = folder or Path(tempfile.gettempdir()) / f"diffusion-credit-cards-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user; remove it, or set TMPDIR to a folder of your own")
    said = -SAY_EVERY
    while True:
        for position, card in enumerate(cards):
            lock = os.open(
                folder / hashlib.sha256(card.encode()).hexdigest()[:32], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            try:
                yield position
            finally:
                os.close(lock)
            return
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            say(
                f"all {len(cards)} cards of this machine are taken by other runs; waiting. A worker's --limit should not be "
                "larger than the number of its cards"
            )
        time.sleep(LOOK_EVERY)
