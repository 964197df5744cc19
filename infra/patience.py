"""Asking again, for a while, whoever may be away for a moment: a server that is restarted, a store that is cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from infra.store_types import StoreUnavailable

T = TypeVar("T")

PATIENCE = 600.0  # seconds for which one may be away
LONGEST_PAUSE = 30.0  # seconds between two tries
SAY_EVERY = 60.0  # seconds between lines about it


def patiently_with_store(call: Callable[[], T], say: Callable[[str], None], url: str) -> T:
    """What a call to the store at `url` gives, which may not answer for PATIENCE. Raises as `patiently`."""
    return patiently(call, lambda error: isinstance(error, StoreUnavailable), say, f"the store {url}")


def patiently(
    call: Callable[[], T],
    passes: Callable[[Exception], bool],
    say: Callable[[str], None],
    who: str,
    patience: float = PATIENCE,
) -> T:
    """What a call gives; made again, ever more slowly, while its errors are of a kind that passes.

    Args:
        call: may be made more than once, so doing it twice must do no harm.
        passes: whether an error may be gone in a moment.
        say: told at once, and then every minute, that `who` does not answer.
        patience: seconds.

    Raises:
        Exception: what `call` raises, when patience is spent, or at once if it does not pass.
    """
    began, said, pause = time.monotonic(), float("-inf"), 1.0
    while True:
        try:
            return call()
        except Exception as error:
            now = time.monotonic()
            if not passes(error) or now - began > patience:
                raise
            if now - said >= SAY_EVERY:
                said = now
                say(
                    f"{who} does not answer ({type(error).__name__}: {error}), {now - began:.0f} s now; it is asked again "
                    f"for {patience / 60:.0f} min in all"
                )
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
