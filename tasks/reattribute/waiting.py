"""One run of a study at a time: whoever comes second waits until the first is done.

A run that began before somebody joined cannot know of them. So an event that comes meanwhile must not be lost, nor end in
an error: its run waits, looks at the data when the other is over, and has nothing to do if that one saw everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from infra.holder import Holder
from infra.lease import HOUSEKEEPING, living
from infra.patience import patiently_with_store
from infra.store import Store

LOOK_EVERY = 5.0  # seconds
SAY_EVERY = 300.0


def wait_until_free(
    store: Store,
    study: str,
    say: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Returns when nobody runs the study and nobody tidies the store up; says who it waits for, at first and now and then.

    A run that died is not waited for longer than its lease lives.

    Raises:
        StoreError: if what lies there is not a lease.
    """
    said: float | None = None
    while (holder := patiently_with_store(lambda: _holder(store, study), say, store.url)) is not None:
        if said is None or now() - said >= SAY_EVERY:
            say(f"waiting for {holder.holder} on {holder.host}: one run of a study at a time")
            said = now()
        sleep(LOOK_EVERY)


def _holder(store: Store, study: str) -> Holder | None:
    there = {**living(store, study), **living(store, HOUSEKEEPING)}
    return next(iter(there.values()), None)
