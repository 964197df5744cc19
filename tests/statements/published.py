"""Statements in a store, made and stored by the publish step, on the contributors and figures that a test asks for."""

from __future__ import annotations

import itertools
from dataclasses import replace

from infra.store import Store
from tasks.partition import Contributor, Partition
from tasks.publish import StatementData, statement_files
from tasks.publish.storage import store_statement
from tasks.statements.moved import changes_since
from tasks.statements.read import latest_statement
from tasks.statements.types import EpochStanding
from tests.publish.building import build

_fresh = itertools.count()
Who = tuple[str, str]  # name, and one letter of which the fingerprint is made


def statement(*who: Who, run: str = "one", created: str = "2026-01-01T00:00:00+00:00", epoch: int | None = 1,
              seed: int = 0, **changes: object) -> StatementData:  # fmt: skip
    """A statement on these contributors; `epoch` None makes one as before there were epochs."""
    data = build(tuple(name for name, _ in who), created=created, run=run, failed=0, seed=seed)
    contributors = tuple(
        replace(c, fingerprint=letter * 64, merged=())
        for c, (_, letter) in zip(data.partition.contributors, who, strict=True)
    )
    manifest = {"evaluations": {"new": 48, "cached": 12, "reused": 0, "failed": 0}}
    if epoch is not None:
        manifest["epoch"] = {"number": epoch}
    data = replace(data, partition=replace(data.partition, contributors=contributors), manifest=manifest)
    return replace(data, **changes)  # type: ignore[arg-type]


def publish(data: StatementData, store: Store, study: str = "art") -> str:
    """Store it. Returns the key of its folder."""
    return store_statement(statement_files(data), study, data.run, data.created, store, still_ours=lambda: None)


def partition_of(*who: Who) -> Partition:
    """Today's contributors."""
    contributors = tuple(Contributor(name, 10.0, 2.0, 1 / len(who), letter * 64) for name, letter in who)
    return replace(build(("a", "b"), failed=0).partition, contributors=contributors)


def compared(before: StatementData, now: StatementData, epoch: EpochStanding | None = None) -> StatementData:
    """The second statement with what it says about the first, which is published and read back for that."""
    store = Store(f"memory://compared-{next(_fresh)}")
    publish(before, store)
    read = latest_statement(store, "art")
    assert read is not None
    names = {result.name for result in now.results} - {"heldout_loss"}
    since = changes_since(read, now.study, now.partition, now.results, epoch=2, identities={}, from_samples=names)
    return replace(now, since=since, epoch=epoch)
