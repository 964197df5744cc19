"""Who has opted out: numbered records that are never changed; of each contributor the last one rules.

    opt-outs/<contributor>/00000001.json       {"contributor", "event": "left" or "returned", "when", "by", "removed"}
                           00000001.log.json   that all of it was removed, when, and what still holds their data

The record is written before anything is removed, so that whoever dies in between leaves a contributor out, never half in.
Where there is no log yet, the same opt-out goes on.
"""

from __future__ import annotations

import concurrent.futures
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from infra.digest import canonical_json
from infra.names import key_part, one_spelling, refused_character, refused_contributor
from infra.store import Store, StoreError

FOLDER = "opt-outs"
LARGEST = 16 * 2**20  # bytes of a record
RETURN = "python -m flows.run_opt_out --return"
_RECORD = re.compile(r"[0-9]{8}\.json")


def _checked_contributor(name: str) -> str:
    if reason := refused_contributor(name):
        raise ValueError(f"the contributor's name {name[:200]!r} {reason}")
    return name


def _checked_line(text: str) -> str:
    if reason := refused_character(text):
        raise ValueError(f"{text[:200]!r} holds {reason}")
    return text


class Amount(BaseModel):
    """So many objects of so many bytes in all."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    count: int = Field(ge=0)
    bytes: int = Field(ge=0)


class OptOut(BaseModel):
    """Somebody left, or returned.

    when: UTC. by: who asked for it, or did it. removed: by kind, what there was to be removed when this was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1
    contributor: Annotated[str, AfterValidator(_checked_contributor)]
    event: Literal["left", "returned"]
    when: AwareDatetime
    by: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_checked_line)]
    removed: dict[str, Amount] = {}


class Removal(BaseModel):
    """That all of it is gone. removed: by whoever finished it, by kind. still: what holds their data yet, in sentences."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1
    contributor: str
    finished: AwareDatetime
    removed: dict[str, Amount]
    still: tuple[str, ...]


def records(store: Store, name: str) -> Mapping[int, OptOut]:
    """A contributor's records by number, in order; none for whoever never opted out.

    Raises:
        StoreError: if what lies there is not one.
    """
    return {number: _read(store, key) for number, key in _numbered(store, f"{FOLDER}/{key_part(name)}")}


def standing(store: Store, name: str) -> tuple[int, OptOut] | None:
    """Number and record of a contributor's opt-out, if they are out. Raises as `records`."""
    found = records(store, name)
    last = max(found, default=0)
    return (last, found[last]) if last and found[last].event == "left" else None


def opted_out(store: Store) -> set[str]:
    """Names of all who are out: one listing, and one read for each contributor who ever opted out.

    Raises:
        StoreError: if what lies there is not such a record. To pass one over could let somebody in who is out.
    """
    newest: dict[str, str] = {}
    for _, key in _numbered(store, FOLDER):
        newest[key.rpartition("/")[0]] = key
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        last = list(pool.map(lambda key: _read(store, key), newest.values()))
    return {record.contributor for record in last if record.event == "left"}


def add(store: Store, record: OptOut, number: int) -> None:
    """Write a record under the next number.

    Raises:
        StoreError: if somebody else has just written one.
    """
    key = f"{FOLDER}/{key_part(record.contributor)}/{number:08d}.json"
    data = canonical_json(record.model_dump(mode="json"))
    if not store.create(key, data) and store.read(key, limit=LARGEST) != data:  # a bucket may have lost its own answer
        raise StoreError(f"{store.where(key)} has just been written by somebody else; look at it, and try again")


def removal(store: Store, name: str, number: int) -> Removal | None:
    """The log of a record; None where its removal was not finished. Raises StoreError if it is not one."""
    key = _log(name, number)
    try:
        return Removal.model_validate_json(store.read(key, limit=LARGEST), strict=True)
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StoreError(f"{store.where(key)} is not the log of an opt-out: {error}") from error


def finish(store: Store, log: Removal, number: int) -> None:
    """Write that a record's removal is finished."""
    store.write(_log(log.contributor, number), canonical_json(log.model_dump(mode="json")))


def _log(name: str, number: int) -> str:
    return f"{FOLDER}/{key_part(name)}/{number:08d}.log.json"


def _numbered(store: Store, folder: str) -> list[tuple[int, str]]:
    """Number and key of each record below a folder; keys are sorted, and numbers are padded."""
    keys = [key for key in store.list(folder) if _RECORD.fullmatch(key.rpartition("/")[2])]
    return [(int(key.rpartition("/")[2].removesuffix(".json")), key) for key in keys if key.count("/") == 2]


def _read(store: Store, key: str) -> OptOut:
    try:
        record = OptOut.model_validate_json(store.read(key, limit=LARGEST), strict=True)
    except ValidationError as error:
        raise StoreError(f"{store.where(key)} is not the record of an opt-out: {error}") from error
    if key_part(record.contributor) != key.split("/")[1] or record.contributor != one_spelling(record.contributor):
        raise StoreError(f"{store.where(key)} is of {record.contributor!r}: somebody moved it")
    return record
