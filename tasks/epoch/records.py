"""Epochs as they lie in the store: one small file each, created exclusively, never changed.

    epochs/<study>/00000001.json   {"opened", "why", "reference", "pruned", "heldout", "data", "pixels"}

The recipe of the images is in the record, so that every key that rests on it can be computed when the images are long gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from infra.digest import canonical_json
from infra.ledger import Digest
from infra.store import Store, StoreError
from tasks.recipe import Recipe

FOLDER = "epochs"
LARGEST = 256 * 2**20  # bytes of a record: a million images have 80
_NAME = re.compile(r"[0-9]{8}\.json")
_Weighed = tuple[Digest, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class _Images(BaseModel):
    """The specification of a data recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    preprocessing: int
    resolution: int = Field(ge=1)
    train: list[_Weighed]
    heldout: list[Digest]


class EpochRecord(BaseModel):
    """What an epoch froze, and what made from it is called.

    reference, pruned: keys of their recipes. heldout: the rule by which images are held out, salt and share.
    data: specification of the data recipe. pixels: sha256 of data/<sha256>.safetensors. contributors: how many there were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    schema_version: Literal[1] = 1
    study: str
    number: int = Field(ge=1)
    opened: AwareDatetime
    why: str
    reference: Digest
    pruned: Digest
    heldout: tuple[str, float]
    contributors: int = Field(ge=2)
    data: _Images
    pixels: Digest

    @property
    def recipe(self) -> Recipe:
        """Of the images, under the key that it had when it was frozen."""
        spec = self.data.model_dump(mode="json")
        return Recipe("data", spec)

    @property
    def name(self) -> str:
        """For messages."""
        return f"epoch {self.number}"


def read_epochs(store: Store, study: str) -> tuple[EpochRecord, ...]:
    """All epochs of a study, oldest first.

    Raises:
        StoreError: if what lies there is not one: what evaluations rest on would not be known.
    """
    keys = [key for key in store.list(f"{FOLDER}/{study}") if _NAME.fullmatch(key.rpartition("/")[2])]
    return tuple(_read(key, store) for key in keys)  # keys are sorted, and numbers are padded


def read_epoch(store: Store, study: str, number: int) -> EpochRecord:
    """One of them. Raises FileNotFoundError if there is none, StoreError as `read_epochs`."""
    return _read(_key(study, number), store)


def open_epoch(record: EpochRecord, store: Store) -> EpochRecord:
    """Add an epoch. Only for whoever holds the study's lease.

    Raises:
        StoreError: if there is another one of that number.
    """
    data = canonical_json(record.model_dump(mode="json"))
    key = _key(record.study, record.number)
    if not store.create(key, data) and store.read(key, limit=LARGEST) != data:
        raise StoreError(f"{store.where(key)} is there already: another run opened an epoch at this moment; try again")
    return record


def images_of_epochs(store: Store) -> Mapping[str, str]:
    """Keys of images that the newest epoch of each study froze -> the name of that epoch. Raises StoreError."""
    newest: dict[str, str] = {}
    for key in store.list(FOLDER):
        parts = key.split("/")
        if len(parts) == 3 and _NAME.fullmatch(parts[2]):
            newest[parts[1]] = key
    records = (_read(key, store) for key in newest.values())
    return {f"data/{record.pixels}.safetensors": f"{record.name} of {record.study}" for record in records}


def _read(key: str, store: Store) -> EpochRecord:
    try:
        record = EpochRecord.model_validate_json(store.read(key, limit=LARGEST), strict=True)
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise StoreError(f"{store.where(key)} is not an epoch: {first['loc']}: {first['msg']}") from error
    if key != _key(record.study, record.number):
        raise StoreError(f"{store.where(key)} says that it is {record.name} of {record.study}: somebody moved it")
    return record


def _key(study: str, number: int) -> str:
    return f"{FOLDER}/{study}/{number:08d}.json"
