"""The ledger: every model, sample set and score ever made, as small JSON records, never changed once written.

A coalition's evaluation is a chain of three records, each named by the digest of what it was made from:

    models/<d>   pruned model, members' fingerprints, recipe, seed        -> weights' sha256, seconds
    samples/<d>  model, sampler, steps, count, seed                       -> images' sha256, seconds
    scores/<d>   samples or model, property, its reference statistics     -> raw value, or why there is none

A failure is recorded only where the same inputs would fail again (a training that diverges, a property that has no
value); a dead worker or a lost connection is not the coalition's fault and leaves no record.

What is read is believed only if it is such a record to the letter, is named by the digest of the specification inside it,
and has a reasonable size: buckets are written by many hands.
"""

from __future__ import annotations

import concurrent.futures
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.digest import canonical_json, digest_of
from infra.packs import WORTH_IT, Packs
from infra.store import Entry, Store, StoreError

LARGEST = 16 * 2**20  # bytes of a record; the members of ten thousand contributors fit
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
Digest = Annotated[str, Field(pattern=_DIGEST.pattern)]


class Record(BaseModel):
    """What all records have: the key they are under, what they were made from, and by what."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    schema_version: Literal[1] = 1
    key: Digest
    spec: dict[str, Any]
    failure: str | None = None
    seconds: float = Field(ge=0)
    created: str
    provenance: dict[str, str] = {}  # versions and device: recorded, not identity


class ModelRecord(Record):
    """One trained network: reference, pruned or a coalition's."""

    members: list[str] = []
    sha256: Digest | None = None
    kept: bool = True
    files: dict[str, Digest] = {}
    facts: dict[str, float] = {}

    @model_validator(mode="after")
    def _made_or_failed(self) -> ModelRecord:
        if (self.sha256 is None) == (self.failure is None):
            raise ValueError("a model record holds either a sha256 or a failure")
        return self


class SamplesRecord(Record):
    """Images drawn from one model."""

    model: Digest
    sha256: Digest | None = None

    @model_validator(mode="after")
    def _made_or_failed(self) -> SamplesRecord:
        if (self.sha256 is None) == (self.failure is None):
            raise ValueError("a samples record holds either a sha256 or a failure")
        return self


class ScoreRecord(Record):
    """One property's raw value."""

    subject: Digest
    value: float | None = None

    @model_validator(mode="after")
    def _value_or_failed(self) -> ScoreRecord:
        if (self.value is None) == (self.failure is None):
            raise ValueError("a score record holds either a value or a failure")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError("a value that is not finite is a failure, not a score")
        return self


class StatisticsRecord(Record):
    """Reference statistics of one property over one data set, frozen in an epoch."""

    sha256: Digest


class LatentsRecord(Record):
    """Images as an autoencoder encodes them."""

    sha256: Digest


R = TypeVar("R", bound=Record)
_FOLDER: dict[type[Record], str] = {
    ModelRecord: "models",
    SamplesRecord: "samples",
    ScoreRecord: "scores",
    StatisticsRecord: "statistics",
    LatentsRecord: "latents",
}
_KINDS: dict[type[Record], tuple[str, ...]] = {  # of the specifications that are kept there
    ModelRecord: ("reference", "pruned", "model"),
    SamplesRecord: ("samples",),
    ScoreRecord: ("score",),
    StatisticsRecord: ("statistics",),
    LatentsRecord: ("latents",),
}


class LedgerConflict(RuntimeError):
    """The same specification gave two different results: something that matters is not in the specification."""


class Ledger:
    """Records of one store. Listing is done once, by the driver; reading is checked against the schema.

    Args:
        packs: whether what had to be read one by one is packed for the next time (infra.packs). False for whoever must write
            nothing by reading; packs that are there are used all the same.
    """

    def __init__(self, store: Store, *, packs: bool = True) -> None:
        self.store = store
        self._writes_packs = packs

    def get(self, kind: type[R], key: str) -> R | None:
        """The record under `key`, or None.

        Raises:
            StoreError: if what is stored is not such a record.
        """
        data = self._bytes(kind, key)
        return None if data is None else _parse(kind, key, data, self.store)

    def find(self, kind: type[R], keys: Iterable[str]) -> dict[str, R]:
        """Those of `keys` that are there: one listing, then only the reads that are needed, many at a time."""
        present = self._present(kind)
        wanted = set(keys)
        return self._read(kind, [key for key in present if key in wanted], present)

    def all(self, kind: type[R]) -> dict[str, R]:
        """Every record of a kind, sorted by key: one listing, and the reads many at a time.

        Files without the name of a record are somebody's notes, and no records; what has such a name is believed or
        refused as in `get`. A record that nobody can read may be one that was asked for, so it is never passed over.

        Raises:
            StoreError: if one of them is not such a record; names it.
        """
        present = self._present(kind)
        return self._read(kind, [key for key in present if _DIGEST.fullmatch(key)], present)

    def _present(self, kind: type[R]) -> dict[str, Entry]:
        prefix = f"ledger/{_FOLDER[kind]}"
        found = self.store.entries(prefix).items()
        return {
            name.removeprefix(f"{prefix}/").removesuffix(".json"): entry
            for name, entry in found
            if name.endswith(".json")
        }

    def _read(self, kind: type[R], keys: list[str], present: dict[str, Entry]) -> dict[str, R]:
        data: dict[str, bytes] = {}
        packs = None
        if len(keys) >= WORTH_IT and all(entry.version for entry in present.values()):
            packs = Packs(self.store, _FOLDER[kind], present)
            data = packs.load()
        absent = [key for key in keys if key not in data]
        with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
            found = zip(absent, pool.map(lambda key: self._bytes(kind, key), absent), strict=True)
            read = {key: content for key, content in found if content is not None}
        data |= read
        records = {key: _parse(kind, key, data[key], self.store) for key in keys if key in data}
        if packs is not None and self._writes_packs and len(read) >= WORTH_IT:
            packs.add(read)
        return records

    def _bytes(self, kind: type[R], key: str) -> bytes | None:
        try:
            return self.store.read(_address(kind, key), limit=LARGEST)
        except FileNotFoundError:
            return None

    def record(self, record: R) -> R:
        """Add a record; the first one under a key stays. Returns the one that is in the ledger now.

        Raises:
            LedgerConflict: if one with another result is there already.
            ValueError: if its key is not the digest of its specification.
        """
        if not _named_by_spec(record):
            raise ValueError(f"{record.key} is not the digest of the specification of this {type(record).__name__}")
        data = canonical_json(record.model_dump(mode="json"))
        if self.store.create(_address(type(record), record.key), data):
            return record
        present = self.get(type(record), record.key)
        if present is None:
            raise StoreError(f"the store neither takes nor has {_address(type(record), record.key)}")
        for outcome in ("sha256", "value"):
            if getattr(present, outcome, None) != getattr(record, outcome, None):
                raise LedgerConflict(
                    f"{self.store.where(_address(type(record), record.key))} was made twice with different results "
                    f"({getattr(present, outcome)} and {getattr(record, outcome)}): on different machines or versions? "
                    f"The first is kept. It was made by {present.provenance}, this one by {record.provenance}."
                )
        return present


def _address(kind: type[Record], key: str) -> str:
    return f"ledger/{_FOLDER[kind]}/{key}.json"


def _parse(kind: type[R], key: str, data: bytes, store: Store) -> R:
    where = store.where(_address(kind, key))
    try:
        record = kind.model_validate_json(data, strict=True)
        named = _named_by_spec(record)
    except (ValidationError, ValueError) as error:  # the latter: a specification that has no canonical JSON
        raise StoreError(f"{where} is not a {kind.__name__}: {error}") from error
    if record.key != key:
        raise StoreError(f"{where} says that it is {record.key}: somebody moved it")
    if not named:
        raise StoreError(f"{where} holds a specification that this is not the digest of: somebody changed it")
    return record


def _named_by_spec(record: Record) -> bool:
    return any(digest_of(kind, record.spec) == record.key for kind in _KINDS[type(record)])
