"""Who was in which statement, of all studies, and by which fingerprints: the ledger knows coalitions by these only."""

from __future__ import annotations

import concurrent.futures
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, field_validator

from infra.ledger import Digest
from infra.store import Store
from tasks.publish.storage import MANIFEST, read_manifest


class _Contributor(BaseModel):
    name: str
    fingerprint: Digest
    merged: tuple[str, ...] = ()


class _Epoch(BaseModel):
    number: int


class _Manifest(BaseModel):
    """The little that is read of a manifest."""

    epoch: _Epoch | None = None
    contributors: tuple[_Contributor, ...]

    @field_validator("epoch", mode="before")
    @classmethod
    def _older(cls, value: Any) -> Any:
        """Statements that are older than epochs have nothing here, or a word."""
        return value if isinstance(value, dict) else None


@dataclass
class Past:
    """fingerprints: of each name, those of a merged contributor too, which holds their images. everybody: all that any
    statement lists. statements: of each name, as study/run. epochs: of each name, (study, number), number None where the
    statement is older than epochs."""

    fingerprints: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    everybody: set[str] = field(default_factory=set)
    statements: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    epochs: dict[str, set[tuple[str, int | None]]] = field(default_factory=lambda: defaultdict(set))


def read_past(store: Store) -> Past:
    """All statements of a store.

    Raises:
        StoreError: if one cannot be read: what of a contributor's is in the store would not be known.
    """
    keys = [key for key in store.list("studies") if key.count("/") == 3 and key.endswith(f"/{MANIFEST}")]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        manifests = list(pool.map(lambda key: read_manifest(store, key.rpartition("/")[0], _Manifest), keys))
    past = Past()
    for key, manifest in zip(keys, manifests, strict=True):
        _, study, run, _ = key.split("/")
        for contributor in manifest.contributors:
            past.everybody.add(contributor.fingerprint)
            for name in contributor.merged or (contributor.name,):
                past.fingerprints[name].add(contributor.fingerprint)
                past.statements[name].append(f"{study}/{run}")
                past.epochs[name].add((study, None if manifest.epoch is None else manifest.epoch.number))
    return past
