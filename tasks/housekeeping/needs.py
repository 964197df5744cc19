"""What kept statements rest on, as objects of the store:

    manifest ─▶ reference, pruned model, statistics          by the sha256 it names
             ─▶ their records ─▶ base                        the autoencoder or pipeline that they stand on
    evaluations.parquet ─▶ model_key, samples_key ─▶ ledger ─▶ sha256 of weights and images

A statement that cannot be read as one stops everything: what it needs would not be known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel

from infra.ledger import Digest, ModelRecord, SamplesRecord
from infra.store import Store, StoreError
from infra.store_types import StoreUnavailable
from infra.tables import read_parquet
from tasks.families.stored import base_folders
from tasks.housekeeping.types import Rules
from tasks.publish.storage import LARGEST, MANIFEST, read_manifest
from tasks.reference.pruned import pruned_files

EVALUATIONS = "evaluations.parquet"
_COLUMNS = ["model_key", "samples_key"]
_GIVEN = re.compile(r"(?:reference|base)/[0-9a-f]{64}")


class _Made(BaseModel):
    key: Digest
    sha256: Digest


class _File(BaseModel):
    sha256: Digest


class _Model(BaseModel):
    pretrained: str | None
    autoencoder: str | None = None


class _Study(BaseModel):
    model: _Model


class _Manifest(BaseModel):
    """The little that is read of a manifest."""

    created: AwareDatetime
    study: _Study
    reference: _Made
    pruned: _Made
    statistics: Mapping[str, Digest | None]
    files: Mapping[str, _File]


@dataclass(frozen=True)
class Needs:
    """Keys of the store's objects and folders that kept statements rest on; statements: the kept ones, as study/run."""

    statements: tuple[str, ...]
    keys: frozenset[str]


def needs_of_statements(
    store: Store, rules: Rules, models: Mapping[str, ModelRecord], samples: Mapping[str, SamplesRecord]
) -> Needs:
    """What must stay for the statements that `rules` keep.

    Args:
        models, samples: all of the ledger's.

    Raises:
        ValueError: if a study is to be kept that has no statement.
        StoreError: if a statement cannot be read.
    """
    kept = _kept(store, rules)
    keys: set[str] = set()
    for statement, manifest in kept.items():
        keys.add(f"reference/{manifest.reference.sha256}")
        for given in (manifest.study.model.pretrained, manifest.study.model.autoencoder):
            keys |= set(_GIVEN.findall(given or ""))
        if (reference := models.get(manifest.reference.key)) is not None:
            keys |= base_folders(reference)
        shown = (record.sha256 for record in samples.values() if record.model == manifest.reference.key)
        keys |= {f"samples/{sha256}.safetensors" for sha256 in shown}  # the few images of it that people see
        keys.add(f"pruned/{manifest.pruned.sha256}.safetensors")
        if (pruned := models.get(manifest.pruned.key)) is not None:
            keys |= {*pruned_files(pruned), *base_folders(pruned)}
        keys |= {f"statistics/{digest}.safetensors" for digest in manifest.statistics.values() if digest is not None}
        model_keys, samples_keys = _evaluated(store, statement, manifest)
        keys |= {f"models/{models[key].sha256}.safetensors" for key in model_keys if key in models}
        keys |= {f"samples/{samples[key].sha256}.safetensors" for key in samples_keys if key in samples}
    return Needs(tuple(kept), frozenset(keys))


def pruned_of_statements(store: Store) -> frozenset[str]:
    """Keys in the ledger of the pruned models that any statement of any study names.

    Raises:
        StoreError: if a statement cannot be read.
    """
    return frozenset(_read(store, f"studies/{study}/{run}").pruned.key for study, run in _published(store))


def _published(store: Store) -> list[tuple[str, str]]:
    """Study and run of every statement."""
    parts = (key.split("/") for key in store.list("studies"))
    return [(part[1], part[2]) for part in parts if len(part) == 4 and part[3] == MANIFEST]


def _kept(store: Store, rules: Rules) -> dict[str, _Manifest]:
    """Manifests of the statements to keep, by study/run."""
    runs = _published(store)
    there = {study for study, _ in runs}
    if unknown := sorted(set(rules.studies) - there):
        raise ValueError(
            f"there is no statement of {', '.join(map(repr, unknown))} in {store.url}, so nothing of it could be kept; "
            f"there are: {', '.join(sorted(there)) or 'none'}"
        )
    kept: dict[str, _Manifest] = {}
    for study in sorted(set(rules.studies) or there):
        of_study = {f"{study}/{run}": _read(store, f"studies/{study}/{run}") for s, run in runs if s == study}
        if rules.statements == "latest":
            newest = max(of_study, key=lambda name: (of_study[name].created, name))
            of_study = {newest: of_study[newest]}
        kept |= of_study
    return kept


def _read(store: Store, folder: str) -> _Manifest:
    try:
        return read_manifest(store, folder, _Manifest)
    except StoreUnavailable:
        raise
    except StoreError as error:
        raise StoreError(f"what {folder} needs is not known: {error}") from error


def _evaluated(store: Store, statement: str, manifest: _Manifest) -> tuple[set[str], set[str]]:
    """Keys of the models and of the drawn images of a statement's evaluations."""
    key = f"studies/{statement}/{EVALUATIONS}"
    try:
        content = store.read(key, manifest.files[EVALUATIONS].sha256, limit=LARGEST)
        table = read_parquet(content, _COLUMNS)[1].select(_COLUMNS).to_pandas()
    except (KeyError, FileNotFoundError, ValueError) as error:
        raise StoreError(f"{store.where(key)} cannot be read, and what it needs is not known: {error}") from error
    return set(table["model_key"].dropna()), set(table["samples_key"].dropna())
