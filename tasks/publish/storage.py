"""A statement in the store: whole or absent, and `latest.json` last.

studies/<study>/<run>/credits.parquet … manifest.json     the manifest is written last: where it is, all is
studies/<study>/latest.json                               {"run", "created", "manifest_sha256"}

A run is named `20261123T160000Z-0123abcd`: when it began, and the beginning of its flow run's id. Whatever else lies among
them is people's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel

from infra.digest import canonical_json, sha256
from infra.store import Store, StoreError

MANIFEST, LATEST = "manifest.json", "latest.json"
LARGEST = 256 * 2**20  # bytes of a manifest
M = TypeVar("M", bound=BaseModel)
RUN = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")  # what flows.attribute calls a run


def store_statement(
    files: Mapping[str, bytes], study: str, run: str, created: str, store: Store, *, still_ours: Callable[[], None]
) -> str:
    """Write the files of a statement. Returns the key of its folder.

    Args:
        still_ours: raises if another run has taken the study over; asked before anything is made visible. Whoever took
            it over has also removed what was written so far, so a manifest must not follow.

    Raises:
        StoreError: if this run has published already: a statement is never changed.
    """
    folder, manifest = f"studies/{study}/{run}", files[MANIFEST]
    still_ours()
    if store.exists(f"{folder}/{MANIFEST}"):
        raise StoreError(f"{store.where(folder)} has been published already; a statement is never changed")
    for name, content in files.items():
        if name != MANIFEST:
            store.write(f"{folder}/{name}", content)
    still_ours()
    store.write(f"{folder}/{MANIFEST}", manifest)
    still_ours()
    latest = {"run": run, "created": created, "manifest_sha256": sha256(manifest)}
    store.write(f"studies/{study}/{LATEST}", canonical_json(latest))
    return folder


def remove_unfinished(study: str, store: Store) -> list[str]:
    """Delete what killed runs left behind: runs' folders without a manifest, and halves of files. Returns the folders' runs.

    A folder that has not the name of a run is somebody's own, and stays. Only for whoever holds the study's lease.
    """
    store.remove_litter()
    prefix = f"studies/{study}/"
    runs: dict[str, list[str]] = {}
    for key in store.list(prefix.rstrip("/")):
        run, below, _ = key.removeprefix(prefix).partition("/")
        if below and RUN.fullmatch(run):
            runs.setdefault(run, []).append(key)
    unfinished = [run for run, of_run in runs.items() if f"{prefix}{run}/{MANIFEST}" not in of_run]
    for run in unfinished:
        for key in runs[run]:
            store.delete(key)
    return unfinished


def read_manifest(store: Store, folder: str, model: type[M], expected_sha256: str | None = None) -> M:
    """Those entries of a statement's manifest that `model` has; it decides what is believed, to the letter.

    Args:
        folder: key of the statement's folder.

    Raises:
        StoreError: if it is gone, is not what its digest says, or is no such manifest; names it.
    """
    key = f"{folder}/{MANIFEST}"
    try:
        document = json.loads(store.read(key, expected_sha256, limit=LARGEST))
        wanted = {name: document[name] for name in model.model_fields if name in document}
        # Written anew, because what is not wanted may hold what strict JSON does not: names of files that are no Unicode.
        return model.model_validate_json(json.dumps(wanted), strict=True)
    except FileNotFoundError as error:
        raise StoreError(f"{store.where(key)} is gone: the statement is not whole") from error
    except (ValueError, TypeError, RecursionError) as error:  # a ValidationError is a ValueError
        raise StoreError(f"{store.where(key)} is not the manifest of a statement: {error}") from error
