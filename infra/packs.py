"""Copies of many small records in one object: a bucket needs a request for each of them, and milliseconds for each request.

    packs/scores/<sha256>.json   {"<key of a record>": ["<its version when it was copied>", "<its text>"], …}

A pack is never the truth. Its copies count only while the listing of the records themselves shows the same versions, so a
record that was deleted or replaced is not read from here; a pack that cannot be read, or is gone, only costs time. Folders
have no versions, are quick, and get no packs.
"""

from __future__ import annotations

import logging

from pydantic import TypeAdapter, ValidationError

from infra.digest import canonical_json, sha256
from infra.store import Entry, Store, StoreError, StoreRefused

WORTH_IT = 64  # records; fewer are read one by one
LARGEST = 32 * 2**20  # bytes of text in one pack
MOST = 8  # packs; that many are folded into one
_CONTENT = TypeAdapter(dict[str, tuple[str, str]])

log = logging.getLogger(__name__)


class Packs:
    """The copies of one kind of record in one store.

    Args:
        kind: name of the folder, such as "scores".
        current: what the listing of the records says now: key of a record -> entry.
    """

    def __init__(self, store: Store, kind: str, current: dict[str, Entry]) -> None:
        self._store, self._prefix, self._current = store, f"packs/{kind}", current
        self._found: list[str] = []
        self._copies: dict[str, tuple[str, str]] = {}

    def load(self) -> dict[str, bytes]:
        """The records of which a current copy is in a pack: key -> bytes."""
        self._found = self._store.list(self._prefix)
        for name in self._found:
            for key, (version, text) in self._content(name).items():
                if key in self._current and self._current[key].version == version:
                    self._copies[key] = (version, text)
        return {key: text.encode() for key, (_, text) in self._copies.items()}

    def add(self, records: dict[str, bytes]) -> None:
        """Copy records, which were read after `current` was listed, into a pack. Folds the packs there are into it if they
        have become many. A store that does not take it costs time the next time, never the reading that led here."""
        copies = {
            key: (version, data.decode()) for key, data in records.items() if (version := self._current[key].version)
        }
        try:
            if len(self._found) >= MOST:
                for name in self._found:  # before they are written anew: who may not delete must not pile up copies
                    self._store.delete(name)
                copies = {**self._copies, **copies}
            for part in _parts(copies):
                data = canonical_json(part)
                self._store.write(f"{self._prefix}/{sha256(data)}.json", data)
        except StoreRefused as error:  # one who may only read; whoever may write will do it
            log.info("no pack of records was written: %s", error)
        except (StoreError, OSError) as error:  # busy, full or away: all that was asked for has been read already
            log.warning("no pack of records was written: %s", error)

    def _content(self, name: str) -> dict[str, tuple[str, str]]:
        digest = name.rpartition("/")[2].removesuffix(".json")
        try:
            return _CONTENT.validate_json(self._store.read(name, digest, limit=4 * LARGEST))
        except FileNotFoundError:
            return {}  # folded into another one meanwhile
        except (ValidationError, StoreError) as error:
            if isinstance(error, OSError):
                raise  # the store does not answer: no fault of the pack
            log.warning("%s is no pack of records, and is not used: %s", self._store.where(name), error)
            return {}


def _parts(content: dict[str, tuple[str, str]]) -> list[dict[str, tuple[str, str]]]:
    parts: list[dict[str, tuple[str, str]]] = []
    room = 0
    for key, (version, text) in sorted(content.items()):
        if len(text) > room:
            parts.append({})
            room = LARGEST
        parts[-1][key] = (version, text)
        room -= len(text)
    return parts
