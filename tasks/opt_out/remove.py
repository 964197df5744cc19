"""Opting out, and returning.

    tombstone ─▶ uploads (complete.json, files, started.json) ─▶ data ─▶ latents ─▶ checkpoints ─▶ models ─▶ samples ─▶ log

The tombstone comes first: from then on every run leaves them out, whatever of the rest is still there.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from infra.lease import HOUSEKEEPING, Lease
from infra.names import key_part, one_spelling
from infra.opt_outs import FOLDER, OptOut, Removal, add, finish, opted_out, records, removal, standing
from infra.store import Store
from infra.uploads import find_uploads
from tasks.opt_out.find import amounts, find
from tasks.opt_out.past import Past, read_past
from tasks.opt_out.still import could_not, still_holds
from tasks.opt_out.types import Left
from tasks.partition.names import MERGED, closest
from tasks.progress import Ticker

AT_ONCE = 16  # requests
BATCH = 500  # removals before the lease is asked for again
Say = Callable[[str], None]


def opt_out(
    store: Store,
    name: str,
    by: str,
    holder: str,
    say: Say,
    *,
    unknown: bool = False,
    first: Callable[[], None] = lambda: None,
) -> Left:
    """Leave a contributor out from now on, and remove what is theirs. Interrupted, the same again goes on.

    Args:
        by: who asked for it, or does it.
        holder: who holds the store meanwhile, for whoever is refused.
        unknown: also if nobody of that name is in the store, whose images then lie in a data folder only.
        first: called when no study can begin any more and nothing is written yet; what it raises stops the opt-out.

    Raises:
        ValueError: if nobody of that name is known; names the closest. If the name or `by` is none.
        LeaseHeld: if any study is being run, or the store is being tidied up; nothing was removed.
        LeaseLost: if this was silent for so long that a study was begun; then it stops.
        StoreError: if statements or ledger cannot be read; nothing was removed.
    """
    name = one_spelling(name).strip()
    with Lease(store, HOUSEKEEPING, holder) as lease:
        first()
        past = read_past(store)
        _check_known(name, store, past, unknown)
        before = standing(store, name)
        done = before is not None and removal(store, name, before[0]) is not None
        found = find(store, name, past, prepared=not done)
        counts = amounts(found)
        if before is None or (done and counts):
            number = max(records(store, name), default=0) + 1
            record = OptOut(contributor=name, event="left", when=_now(), by=by, removed=counts)
            add(store, record, number)
        else:
            number, record = before
        still = still_holds(name, past)
        if before is None or not done or counts:
            _remove([key for entries in found.values() for key in entries], store, lease, say)
            # A machine that nobody sees may have added something before its images were gone; from then on it does not.
            late = find(store, name, past, prepared=not done)
            _remove([key for entries in late.values() for key in entries], store, lease, say)
            store.remove_litter()
            finish(store, Removal(contributor=name, finished=_now(), removed=counts, still=still), number)
        not_now = could_not(store)
    return _told(store, record, number, {kind: (n.count, n.bytes) for kind, n in counts.items()}, still, not_now)


def come_back(store: Store, name: str, by: str, holder: str) -> Left:
    """A contributor returns: what is theirs counts again in the next run. What was removed has to be handed in anew.

    Raises:
        ValueError: if they are not out; names who is, closest first.
        LeaseHeld: if any study is being run, or the store is being tidied up.
    """
    name = one_spelling(name).strip()
    with Lease(store, HOUSEKEEPING, holder):
        before = standing(store, name)
        if before is None:
            out = opted_out(store)
            near = closest(name, out) or sorted(out)[:3]
            raise ValueError(f"{name!r} has not opted out, so cannot return; out are: {_quoted(near) or 'nobody'}")
        record = OptOut(contributor=name, event="returned", when=_now(), by=by)
        add(store, record, before[0] + 1)
    return _told(store, record, before[0] + 1, {}, (), ())


def _check_known(name: str, store: Store, past: Past, unknown: bool) -> None:
    if name == MERGED:
        raise ValueError(f"{MERGED!r} stands for several contributors; name the one who opts out")
    if unknown or name in past.statements or records(store, name):
        return
    prefix = f"/{key_part(name)}/"
    if any(prefix in key for key in store.list("uploads")):
        return
    known = set(past.statements) | _uploaders(store)
    raise ValueError(
        f"nobody is called {name!r} in the statements and uploads of {store.url} (closest: "
        f"{_quoted(closest(name, known)) or 'none'}). Write the name exactly as a statement has it; for somebody whose "
        "images lie in a data folder only and were never in a statement, say --unknown-name"
    )


def _uploaders(store: Store) -> set[str]:
    collections = {key.split("/")[1] for key in store.list("uploads") if key.count("/") > 1}
    return {upload.contributor for each in collections for upload in find_uploads(store, each).complete}


def _remove(keys: Sequence[str], store: Store, lease: Lease, say: Say) -> None:
    """In the order of `keys`, as far as that matters: nothing of a later part goes before all of the part before it."""
    ticker, gone = Ticker(say, "removing"), 0
    for part in _parts(keys):
        for first in range(0, len(part), BATCH):
            lease.check()
            batch = part[first : first + BATCH]
            with concurrent.futures.ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
                list(pool.map(store.delete, batch))
            gone += len(batch)
            ticker(gone, len(keys))


def _parts(keys: Iterable[str]) -> list[list[str]]:
    """Runs of keys that may go at once: of one kind, and of uploads the manifests, the files, and what began them."""
    parts: list[list[str]] = []
    last: tuple[str, str] | None = None
    for key in keys:
        folder, name = key.split("/")[0], key.rpartition("/")[2]
        part = (folder, name if folder == "uploads" and name.endswith(".json") else "")
        if part != last:
            parts.append([])
        parts[-1].append(key)
        last = part
    return parts


def _told(
    store: Store,
    record: OptOut,
    number: int,
    removed: dict[str, tuple[int, int]],
    still: tuple[str, ...],
    not_now: tuple[str, ...],
) -> Left:
    return Left(
        contributor=record.contributor,
        event=record.event,
        since=record.when.isoformat(),
        by=record.by,
        removed=removed,
        still=still,
        could_not=not_now,
        record=store.where(f"{FOLDER}/{key_part(record.contributor)}/{number:08d}.json"),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
