"""Looks at the stack all along: the ledger's records, latest.json, and the size of every process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from infra.digest import sha256
from infra.settings import store_url
from infra.stack.members import WORKER
from infra.store import Store, StoreError
from tasks.publish.storage import LATEST, MANIFEST, RUN
from tasks.recipe import Recipe
from tests.soak.accounting import Book
from tests.soak.studies import STUDIES
from tests.soak.world import World

LEDGER_EVERY, LATEST_EVERY, SIZES_EVERY = 4.0, 1.0, 5.0  # seconds
AWAY = (StoreError, OSError)  # while the S3 server is down, or comes up; FileNotFoundError is looked at on its own


@dataclass
class Latest:
    """What was seen of one study's latest.json."""

    looks: int = 0
    unanswered: int = 0
    runs: list[str] = field(default_factory=list)  # each that it named, in order
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Size:
    """One process at one moment. part: with the worker's name; age in seconds, memory in bytes."""

    at: float
    part: str
    process: int
    age: float
    memory: int
    handles: int


class Watch:
    """Three threads that look; what they saw."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book = Book()
        self.planned: dict[str, set[str]] = {}  # key of each model that a shard was sent for -> keys of its scores
        self.made: list[tuple[float, int]] = []  # seconds since 1970; models recorded so far
        self.latest = {study: Latest() for study in STUDIES}
        self.sizes: list[Size] = []
        self.unanswered = 0
        self.troubles: list[str] = []  # errors of our own
        self._seen_shards: set[str] = set()
        self._stop = threading.Event()
        looks = (
            (self.look_at_ledger, LEDGER_EVERY),
            (self._look_at_latest, LATEST_EVERY),
            (self._measure, SIZES_EVERY),
        )
        self._threads = [threading.Thread(target=self._loop, args=look, daemon=True) for look in looks]

    def start(self) -> None:
        """Begin."""
        self.store = Store(store_url())
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after one last look."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, look: Callable[[], None], every: float) -> None:
        while not self._stop.wait(every):
            try:
                look()
            except AWAY:
                self.unanswered += 1
            except Exception as error:  # a thread that dies unseen would leave the books empty, and everything in order
                self.troubles.append(f"{look.__name__}: {type(error).__name__}: {error}")

    def look_at_ledger(self) -> None:
        """Read every record that is new, and look again for each that a listing lacks."""
        listed = [key for key in self.store.list("ledger") if key.endswith(".json")]
        for key in listed:
            if key not in self.book.first:
                self.book.read(key, sha256(self.store.read(key)))
        for key in self.book.missing(listed):
            if self.store.exists(key):
                self.book.listed_incompletely += 1
        self.made.append((time.time(), sum(key.startswith("ledger/models/") for key in listed)))
        for key in self.store.list("shards"):
            if key.count("/") == 1 and key not in self._seen_shards:
                self._note_planned(key)

    def _note_planned(self, key: str) -> None:
        try:
            jobs = json.loads(self.store.read(key))["jobs"]
        except FileNotFoundError:
            return  # gc was quicker; what was sent with it is recorded, or is sent again
        self._seen_shards.add(key)
        for job in jobs:
            scores = {Recipe("score", spec).key for spec in job["scores"].values()}
            self.planned.setdefault(Recipe("model", job["model"]).key, set()).update(scores)

    def _look_at_latest(self) -> None:
        for study, seen in self.latest.items():
            try:
                content = self.store.read(f"studies/{study}/{LATEST}", limit=2**16)
            except FileNotFoundError:
                if seen.runs:
                    seen.wrong.append(f"{time.time():.0f}: it is gone")
                continue
            except AWAY:
                seen.unanswered += 1
                continue
            seen.looks += 1
            try:
                latest = json.loads(content)
                run, digest = str(latest["run"]), str(latest["manifest_sha256"])
            except (ValueError, KeyError, TypeError):
                seen.wrong.append(f"{time.time():.0f}: it is {content[:200]!r}")
                continue
            if not seen.runs or seen.runs[-1] != run:
                try:
                    troubles = check_statement(self.store, f"studies/{study}/{run}", digest)
                except AWAY:
                    continue  # looked at again the next time
                seen.runs.append(run)
                seen.wrong += troubles

    def _measure(self) -> None:
        now = time.time()
        for member in self.world.members():
            process, part = member.process, member.part
            try:
                with process.oneshot():
                    if part == WORKER:
                        part = _worker_name(process)
                    size = Size(
                        now,
                        part,
                        process.pid,
                        now - process.create_time(),
                        process.memory_info().rss,
                        process.num_fds(),
                    )
            except (psutil.Error, OSError):
                continue
            self.sizes.append(size)


def check_statement(store: Store, folder: str, digest: str | None = None) -> list[str]:
    """What is wrong with a statement: files that lack or are not what its manifest says.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    try:
        content = store.read(f"{folder}/{MANIFEST}")
    except FileNotFoundError:
        return [f"{folder} has no manifest"]
    wrong = (
        [] if digest in (None, sha256(content)) else [f"{folder}: its manifest is not the one that latest.json names"]
    )
    for name, file in json.loads(content)["files"].items():
        try:
            if sha256(store.read(f"{folder}/{name}")) != file["sha256"]:
                wrong.append(f"{folder}/{name} is not what the manifest says")
        except FileNotFoundError:
            wrong.append(f"{folder}/{name} is gone")
    return wrong


def statements(store: Store) -> tuple[list[str], list[str], list[str]]:
    """Folders of whole and of half statements of all studies, and what is wrong with the whole ones."""
    folders: dict[str, bool] = {}
    for key in store.list("studies"):
        parts = key.split("/")
        if len(parts) > 3 and RUN.fullmatch(parts[2]):
            folder = "/".join(parts[:3])
            folders[folder] = folders.get(folder, False) or parts[3] == MANIFEST
    whole = [folder for folder, has_manifest in folders.items() if has_manifest]
    wrong = [trouble for folder in whole for trouble in check_statement(store, folder)]
    return whole, [folder for folder in folders if folder not in whole], wrong


def records(store: Store) -> dict[str, str]:
    """sha256 of every record of the ledger, read now."""
    return {key: sha256(store.read(key)) for key in store.list("ledger") if key.endswith(".json")}


def undone(planned: dict[str, set[str]], now: dict[str, Any]) -> list[str]:
    """Planned models that lack a record of their own, or of a score, and have not failed."""
    return sorted(
        model
        for model, scores in planned.items()
        if f"ledger/models/{model}.json" not in now or any(f"ledger/scores/{score}.json" not in now for score in scores)
    )


def _worker_name(process: psutil.Process) -> str:
    """Of a worker its own; all it has started are flow runs."""
    words = process.cmdline()
    return words[words.index("--name") + 1] if "worker" in words and "--name" in words else "flow run"
