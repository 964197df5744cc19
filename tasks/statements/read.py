"""A published statement, read back: who was in it, on which epoch it stands, and what everybody was credited with.

    studies/<study>/latest.json            names the newest run, with the sha256 of
    studies/<study>/<run>/manifest.json    who, what and how, with the sha256 of
    studies/<study>/<run>/credits.parquet  the figures

Everything is checked against the digest that names it, and columns are taken by name only: what an earlier version wrote
stays readable, and what somebody else wrote is not believed.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, Field, ValidationError, field_validator

from infra.ledger import Digest
from infra.store import Store, StoreError
from infra.tables import read_parquet
from tasks.publish import text
from tasks.publish.storage import LATEST, MANIFEST, read_manifest

CREDITS = "credits.parquet"
LARGEST = 256 * 2**20  # bytes of one file, and of what a table unfolds to
_KINDS = ("credit", "ci_low", "ci_high", "excess", "excess_low", "excess_high", "share", "rank")


class PastContributor(NamedTuple):
    """images: training images as a sum of shares. merged: names of those for whom this one stands."""

    name: str
    fingerprint: str
    images: float
    merged: tuple[str, ...]


class PastProperty(NamedTuple):
    """sign: +1 if more of the raw value is better, else −1."""

    name: str
    sign: int
    unit: str
    estimator: str


@dataclass(frozen=True, eq=False)
class PastStatement:
    """One statement of a study.

    epoch: its number; None where the statement is older than epochs. credits: one row a contributor in the order of
    `contributors`, columns contributor, images, pro_rata and `<property>_<kind>` as `tasks.publish.tables.credits_table`
    writes them. study: the form as it was. evaluations: counts: cached, new, reused, failed. where: key of its folder.
    identities: by property, what makes its numbers what they are; none in older statements. opened: when the epoch was.
    """

    run: str
    created: datetime
    epoch: int | None
    contributors: tuple[PastContributor, ...]
    credits: pd.DataFrame
    properties: tuple[PastProperty, ...]
    study: dict[str, Any]
    evaluations: Mapping[str, int]
    where: str
    identities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    opened: datetime | None = None


class _Contributor(BaseModel):
    name: str
    fingerprint: Digest
    images: float = Field(gt=0, allow_inf_nan=False)
    merged: tuple[str, ...] = ()


class _Property(BaseModel):
    name: str
    sign: int
    unit: str
    estimator: str


class _Epoch(BaseModel):
    number: int = Field(ge=1)
    opened: AwareDatetime | None = None


class _File(BaseModel):
    sha256: Digest


class _Manifest(BaseModel):
    """What is read of a manifest; the rest is for people."""

    run: str
    created: AwareDatetime
    epoch: _Epoch | None = None
    contributors: tuple[_Contributor, ...]
    properties: tuple[_Property, ...]
    study: dict[str, Any]
    evaluations: dict[str, int] = {}
    identities: dict[str, dict[str, Any]] = {}
    files: dict[str, _File]

    @field_validator("epoch", mode="before")
    @classmethod
    def _older(cls, value: Any) -> Any:
        """Statements that are older than epochs have nothing here, or a word."""
        if not isinstance(value, dict):
            return None
        opened = value.get("opened")  # JSON has no times, and after this validator pydantic takes no text for one
        return {**value, "opened": datetime.fromisoformat(opened)} if isinstance(opened, str) else value


class _Latest(BaseModel):
    run: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")
    manifest_sha256: Digest


def latest_statement(store: Store, study: str) -> PastStatement | None:
    """The newest statement of a study; None if it has published none.

    Raises:
        StoreError: if it cannot be read, or a file is not what its digest says; names the file.
    """
    key = f"studies/{study}/{LATEST}"
    try:
        data = store.read(key, limit=2**16)
    except FileNotFoundError:
        return None
    try:
        latest = _Latest.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise StoreError(f"{store.where(key)} does not name a statement: {error}") from error
    return _read(store, f"studies/{study}/{latest.run}", latest.manifest_sha256)


def all_statements(store: Store, study: str) -> list[PastStatement]:
    """Every statement of a study, oldest first.

    Raises:
        StoreError: as `latest_statement`. One that cannot be read is not passed over: a gap in the history would look as if
            nothing had been said then.
    """
    prefix = f"studies/{study}/"
    parts = (key.removeprefix(prefix).split("/") for key in store.list(prefix.rstrip("/")))
    folders = [f"{prefix}{part[0]}" for part in parts if len(part) == 2 and part[1] == MANIFEST]
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        statements = list(pool.map(lambda folder: _read(store, folder), folders))
    return sorted(statements, key=lambda statement: (statement.created, statement.run))


def studies_with_statements(store: Store) -> list[str]:
    """Names of the studies that have published, sorted."""
    parts = (key.split("/") for key in store.list("studies"))
    return sorted({part[1] for part in parts if len(part) == 4 and part[3] == MANIFEST})


def _read(store: Store, folder: str, manifest_sha256: str | None = None) -> PastStatement:
    manifest = read_manifest(store, folder, _Manifest, manifest_sha256)
    return PastStatement(
        run=manifest.run,
        created=manifest.created,
        epoch=manifest.epoch.number if manifest.epoch is not None else None,
        contributors=tuple(PastContributor(c.name, c.fingerprint, c.images, c.merged) for c in manifest.contributors),
        credits=_credits(store, f"{folder}/{CREDITS}", manifest),
        properties=tuple(PastProperty(p.name, p.sign, p.unit, p.estimator) for p in manifest.properties),
        study=manifest.study,
        evaluations=manifest.evaluations,
        where=folder,
        identities=manifest.identities,
        opened=manifest.epoch.opened if manifest.epoch is not None else None,
    )


def _credits(store: Store, key: str, manifest: _Manifest) -> pd.DataFrame:
    """The table of credits, with the columns that this version knows."""
    if CREDITS not in manifest.files:
        raise StoreError(f"{store.where(key)} is not in the manifest beside it: there are no credits to compare with")
    data = _bytes(store, key, manifest.files[CREDITS].sha256)
    names = [text.storable(c.name) for c in manifest.contributors]
    wanted = ["contributor", "images", "pro_rata"]
    wanted += [f"{text.storable(p.name)}_{kind}" for p in manifest.properties for kind in _KINDS]
    try:
        found, table = read_parquet(data, wanted, rows=len(names), text=LARGEST)
        if table.num_rows != len(names):
            raise ValueError(f"{table.num_rows} rows for {len(names)} contributors")
        lacking = sorted(set(wanted) - set(found))
        if lacking:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        frame = pd.DataFrame(
            {
                name: table.column(name).to_pylist()
                if name == "contributor"
                else table.column(name).cast(pa.float64()).to_numpy()
                for name in wanted
            }
        )
    except (pa.ArrowException, ValueError, OSError) as error:
        raise StoreError(f"{store.where(key)} is not a table of credits: {error}") from error
    if frame["contributor"].tolist() != names:
        raise StoreError(f"{store.where(key)} has other contributors than the manifest beside it")
    return frame


def _bytes(store: Store, key: str, expected: str | None) -> bytes:
    try:
        return store.read(key, expected, limit=LARGEST)
    except FileNotFoundError as error:
        raise StoreError(f"{store.where(key)} is gone: the statement is not whole") from error
