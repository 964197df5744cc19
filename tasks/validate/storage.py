"""Validations in the store: whole or absent, and never changed.

validations/<study>/<run>/page.md, validation.html    for people
validations/<study>/<run>/validation.json             for machines, written after them: where it is, all is
validations/<study>/latest.json                       {"run", "sha256"} of the newest validation.json, written last

A run is named as a statement's is (tasks.publish.storage).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from infra.digest import canonical_json, sha256
from infra.ledger import Digest
from infra.store import Store, StoreError
from tasks.publish.storage import LATEST, RUN
from tasks.validate.types import Validation

FOLDER, FOUND = "validations", "validation.json"
LARGEST = 64 * 2**20  # bytes of a validation: ten thousand contributors by fifteen methods fit
_SMALL = 4096  # bytes of latest.json
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class _Latest(BaseModel):
    """What latest.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    sha256: Digest


def store_validation(found: Validation, files: Mapping[str, bytes], store: Store) -> str:
    """Write a validation and its pages. Returns the key of its folder.

    files: page.md, validation.html and whatever belongs to them, by name; validation.json and latest.json are made here.

    Raises:
        ValueError: if the run is not named as runs are, a file has the name of one that is made here, or the validation does
            not fit together.
        StoreError: if this run has stored its validation already: it is never changed.
    """
    if not RUN.fullmatch(found.run):
        raise ValueError(f"a validation's run must be named like 20261124T120000Z-0123abcd, not {found.run!r}")
    if taken := {FOUND, LATEST} & set(files):
        raise ValueError(f"{', '.join(sorted(taken))} is made from the validation, and cannot be given beside it")
    if reason := _inconsistent(found):
        raise ValueError(f"the validation {found.run} cannot be stored: {reason}")
    folder = f"{_of_study(found.study)}/{found.run}"
    if store.exists(f"{folder}/{FOUND}"):
        raise StoreError(f"{store.where(folder)} has been stored already; a validation is never changed")
    content = canonical_json(found.model_dump(mode="json"))
    if len(content) > LARGEST:
        raise StoreError(
            f"the validation {found.run} has {len(content):,} bytes, and none with over {LARGEST:,} is read"
        )
    for name, data in files.items():
        store.write(f"{folder}/{name}", data)
    store.write(f"{folder}/{FOUND}", content)
    latest = {"run": found.run, "sha256": sha256(content)}
    store.write(f"{_of_study(found.study)}/{LATEST}", canonical_json(latest))
    return folder


def latest_validation(store: Store, study: str, recipe: str | None = None) -> Validation | None:
    """The newest validation of a study; None if there is none.

    recipe: digest of how coalitions are made and measured; validations of another one are passed over. Without it, any is
    taken.

    Runs are named by when they began, so the name tells which is newer. One that was killed before its validation.json was
    written does not count; one that was killed before latest.json was, does: it is whole.

    Raises:
        StoreError: if one that is looked at, or latest.json, is damaged or is something else; names it.
    """
    known = _latest(store, study)
    runs = sorted(_runs(store, study), reverse=True)
    if known is not None and known.run not in runs:
        raise StoreError(f"{_where(store, study, known.run)} is gone, though {LATEST} beside it names it")
    for run in runs:
        found = _read(store, study, run, known.sha256 if known is not None and known.run == run else None)
        if recipe is None or found.recipe == recipe:
            return found
    return None


def _of_study(study: str) -> str:
    if not _PART.fullmatch(study):
        raise StoreError(f"{study!r} is not the name of a study: lower case letters, digits and dashes")
    return f"{FOLDER}/{study}"


def _runs(store: Store, study: str) -> list[str]:
    """Runs of a study with a validation. Whatever else lies among them is people's own."""
    parts = (key.split("/") for key in store.list(_of_study(study)))
    return [part[2] for part in parts if len(part) == 4 and part[3] == FOUND and RUN.fullmatch(part[2])]


def _latest(store: Store, study: str) -> _Latest | None:
    key = f"{_of_study(study)}/{LATEST}"
    try:
        return _Latest.model_validate_json(store.read(key, limit=_SMALL), strict=True)
    except FileNotFoundError:
        return None
    except ValueError as error:  # a ValidationError is one
        raise StoreError(f"{store.where(key)} does not name a validation: {error}") from error


def _read(store: Store, study: str, run: str, expected_sha256: str | None) -> Validation:
    where = _where(store, study, run)
    try:
        content = store.read(f"{_of_study(study)}/{run}/{FOUND}", expected_sha256, limit=LARGEST)
        json.loads(content)  # what nests too deeply is found out before anything is made of it
        found = Validation.model_validate_json(content, strict=True)
    except FileNotFoundError as error:
        raise StoreError(f"{where} is gone: the validation is not whole") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{where} is not a validation: {error}") from error
    if reason := _inconsistent(found):
        raise StoreError(f"{where} is not a validation: {reason}")
    if (found.study, found.run) != (study, run):
        raise StoreError(f"{where} is of {found.study}/{found.run}, not of the folder that it lies in")
    return found


def _inconsistent(found: Validation) -> str:
    """What does not fit together, in words; empty where all does: whoever reads the page counts on it."""
    names, n = [of.name for of in found.properties], len(found.contributors)
    if len(set(names)) < len(names):
        return f"a property appears twice in {names}"
    for of in found.properties:
        if (own := sum(way.study for way in of.ways)) != 1:
            return f"{of.name} has {own} ways that are the study's own, not one"
        lengths = {len(method.credits) for method in of.methods}
        lengths |= set() if of.exact_credits is None else {len(of.exact_credits)}
        if lengths - {n}:
            return f"{of.name} has credits of {sorted(lengths)} contributors, but there are {n}"
    return ""


def _where(store: Store, study: str, run: str) -> str:
    return store.where(f"{_of_study(study)}/{run}/{FOUND}")
