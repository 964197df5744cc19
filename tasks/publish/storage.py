"""A statement in the store: whole or absent, and `latest.json` last.

studies/<study>/<run>/credits.parquet … manifest.json     the manifest is written last: where it is, all is
studies/<study>/latest.json                               {"run", "created", "manifest_sha256"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.digest import canonical_json, sha256
from infra.store import Store

MANIFEST = "manifest.json"


def store_statement(
    files: Mapping[str, bytes], study: str, run: str, created: str, store: Store, *, still_ours: Callable[[], None]
) -> str:
    """Write the files of a statement. Returns the key of its folder.

    Args:
        still_ours: raises if another run has taken the study over; asked before anything is made visible.
    """
    folder = f"studies/{study}/{run}"
    still_ours()
    for name, content in files.items():
        if name != MANIFEST:
            store.write(f"{folder}/{name}", content)
    store.write(f"{folder}/{MANIFEST}", files[MANIFEST])
    still_ours()
    latest = {"run": run, "created": created, "manifest_sha256": sha256(files[MANIFEST])}
    store.write(f"studies/{study}/latest.json", canonical_json(latest))
    return folder


def remove_unfinished(study: str, store: Store) -> list[str]:
    """Delete what a run that was killed while publishing left behind: folders without a manifest. Returns their runs.

    Only for whoever holds the study's lease.
    """
    prefix = f"studies/{study}/"
    keys = [key for key in store.list(prefix.rstrip("/")) if key.removeprefix(prefix).count("/") >= 1]
    runs: dict[str, list[str]] = {}
    for key in keys:
        runs.setdefault(key.removeprefix(prefix).split("/", 1)[0], []).append(key)
    unfinished = [run for run, of_run in runs.items() if f"{prefix}{run}/{MANIFEST}" not in of_run]
    for run in unfinished:
        for key in runs[run]:
            store.delete(key)
    return unfinished
