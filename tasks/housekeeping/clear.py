"""Looking for what can go, and removing it."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence

from infra.lease import HOUSEKEEPING, Lease, living
from infra.store import Store
from tasks.housekeeping.needs import Needs
from tasks.housekeeping.survey import groups, survey
from tasks.housekeeping.types import Cleared, Item, Rules, Verdict
from tasks.progress import Ticker

AT_ONCE = 16  # requests; and before each so many removals the lease is asked for
BATCH = 500
Say = Callable[[str], None]


def look(store: Store, rules: Rules) -> Cleared:
    """What could go. Writes nothing, and may be asked at any time.

    Raises:
        ValueError, StoreError: as `survey`.
    """
    needs, verdicts = survey(store, rules)
    busy = tuple(f"{key.split('/')[1]}: {holder.holder} on {holder.host}" for key, holder in living(store).items())
    return _told(store, needs, verdicts, deleted=False, running=busy)


def clear(store: Store, rules: Rules, holder: str, say: Say) -> Cleared:
    """Remove what can go. Interrupted, it can be started again: each thing is needed by no kept statement.

    Args:
        holder: who does it, for whoever is refused meanwhile.

    Raises:
        LeaseHeld: if any study is being run; nothing was removed.
        LeaseLost: if this was silent for so long that a study was begun; then it stops.
        ValueError, StoreError: as `survey`.
    """
    with Lease(store, HOUSEKEEPING, holder) as lease:
        needs, verdicts = survey(store, rules)
        going = [verdict.item for verdict in verdicts if verdict.goes]
        ticker = Ticker(say, "removing")
        for first in range(0, len(going), BATCH):
            lease.check()
            _remove(store, going[first : first + BATCH])
            ticker(min(len(going), first + BATCH), len(going))
        store.remove_litter()
    return _told(store, needs, verdicts, deleted=True)


def _told(
    store: Store, needs: Needs, verdicts: Sequence[Verdict], *, deleted: bool, running: tuple[str, ...] = ()
) -> Cleared:
    going = [verdict.item for verdict in verdicts if verdict.goes]
    return Cleared(
        store=store.url,
        deleted=deleted,
        statements=len(needs.statements),
        count=len(going),
        bytes=sum(item.bytes for item in going),
        groups=groups(verdicts),
        running=running,
    )


def _remove(store: Store, going: Sequence[Item]) -> None:
    with concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        list(pool.map(store.delete, [key for item in going for key in item.keys]))
