"""Somebody who looks at a store all the time while runs in it are killed: is everything whole at every moment?"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from types import TracebackType

from infra.store import Store

FILES = {"credits.parquet", "credits.csv", "evaluations.parquet", "report.html"}


class Watch:
    """Context manager: looks until it is left, and then raises what it saw amiss.

    looks: how often it has looked. latest: the runs that `latest.json` has named, in their order.
    """

    def __init__(self, store: Store, study: str) -> None:
        self._store, self._study = store, study
        self._records: dict[str, bytes] = {}
        self._whole: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._error: BaseException | None = None
        self.looks = 0
        self.latest: list[str] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _watch(self) -> None:
        try:
            while not self._done.is_set():
                self.look()
                time.sleep(0.01)
        except BaseException as error:
            self._error = error

    def look(self) -> None:
        """Look once.

        Raises:
            AssertionError: if a statement is not whole, `latest.json` names none, or a record has changed or is gone.
        """
        self._look_at_latest()
        for key in self._store.list(f"studies/{self._study}"):
            folder, _, name = key.rpartition("/")
            if name == "manifest.json" and folder not in self._whole:
                self._look_at_statement(folder)
        records = {key: self._store.read(key) for key in self._store.list("ledger")}
        for key, record in self._records.items():
            assert records.get(key) == record, f"{key} was changed or is gone"
        self._records = records
        self.looks += 1

    def _look_at_latest(self) -> None:
        try:
            latest = json.loads(self._store.read(f"studies/{self._study}/latest.json"))
        except FileNotFoundError:
            assert not self.latest, "latest.json is gone"
            return
        folder = f"studies/{self._study}/{latest['run']}"
        manifest = self._store.read(f"{folder}/manifest.json")
        assert hashlib.sha256(manifest).hexdigest() == latest["manifest_sha256"]
        self._look_at_statement(folder)
        if self.latest[-1:] != [latest["run"]]:
            self.latest.append(latest["run"])

    def _look_at_statement(self, folder: str) -> None:
        manifest = json.loads(self._store.read(f"{folder}/manifest.json"))
        assert set(manifest["files"]) == FILES
        for name, file in manifest["files"].items():
            assert hashlib.sha256(self._store.read(f"{folder}/{name}")).hexdigest() == file["sha256"]
        self._whole.add(folder)
