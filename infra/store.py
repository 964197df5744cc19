"""The store: named bytes in a folder or a bucket, and the four promises everything else rests on.

- a write is whole or absent: readers never see half an object;
- `create` has one winner, however many try;
- nothing is executed on reading: bytes, JSON and safetensors only, and what has a known digest is checked against it;
- keys are relative, made of plain parts, and cannot leave the store.

    <url>/data/<sha256>.safetensors       prepared images of a dataset at one resolution, with their prompts where the model
                                          takes some; stay while an epoch rests on them
          latents/<sha256>.safetensors    the same images as an autoencoder encodes them (tasks.families.stored)
          base/<sha256>/…                 what models stand on and nobody trains here: an autoencoder, or a whole pipeline
          epochs/<study>/<n>.json         what an epoch froze: never deleted (tasks.epoch.records)
          reference/<sha256>/…            a diffusers pipeline folder, or adapters for one, named by their weights
          pruned/<sha256>.safetensors, .json   weights; their shapes, and which base they stand on
          statistics/<sha256>.safetensors reference statistics of a property
          models/<sha256>.safetensors     fine-tuned weights, where the study keeps them
          samples/<sha256>.safetensors    generated images
          ledger/<kind>/<d>.json          what is known of each of them (infra.ledger)
          packs/<kind>/<sha256>.json      copies of many records at once (infra.packs)
          shards/…                        work on its way to a work pool, and reports of it
          leases/<study>/<n>.json         who is running a study (infra.lease)
          studies/<study>/<run>/…         statements; latest.json names the newest
          validations/<study>/<run>/…     credits held against retrained models (tasks.validate.storage)
          opt-outs/<contributor>/<n>.json who left or returned (infra.opt_outs)
          uploads/…                       what contributors hand in (infra.uploads)
          store.json                      that this is a store, and in which layout

A folder's way of keeping them is infra.local_files, a bucket's is infra.bucket. docs/storage.md is about this for people.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import psutil
import safetensors.numpy
from safetensors import SafetensorError

from infra.bucket import Bucket
from infra.digest import canonical_json, sha256, sha256_of_file
from infra.local_files import Folder
from infra.store_types import (
    NOBODYS_FAULT,
    DiskFull,
    Entry,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    full_of_temporary_files,
    is_full,
)

__all__ = [
    "NOBODYS_FAULT",
    "DiskFull",
    "Entry",
    "Store",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "scratch_folder",
]

LAYOUT = 1  # of the keys below a store; another one is not understood
SMALL = 16 * 2**20  # bytes that may be asked for without first asking how many there are
_MARK = "store.json"
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class Store:
    """Named bytes below one fsspec URL. Cheap to make; safe to use from several threads and processes.

    A relative path is made absolute at once: worker processes may stand elsewhere.

    Raises:
        StoreError: if there is no such kind of store, or it cannot keep the promises above.
    """

    def __init__(self, url: str) -> None:
        if "::" in url:
            raise StoreError(
                f"cannot use '{url}' as the store: a chain of file systems may answer from a cache of its own"
            )
        local = "://" not in url or url.startswith(("file://", "local://"))
        self._objects: Folder | Bucket = Folder(str(fsspec.core.url_to_fs(url)[1])) if local else Bucket(url)
        self._root = self._objects.root
        self.url = (self._root or "/") if local else url

    def check(self) -> None:
        """Find out, before any work starts, whether this store can be used: listed, read, written, and created in
        exclusively. Leaves `store.json`, which says that this is a store.

        Raises:
            StoreError: if it cannot; says which setting is wrong and what to do.
        """
        mark = canonical_json({"layout": LAYOUT, "what": "a store of diffusion-credit, see docs/storage.md"})
        try:
            self.list("leases")
            self.create(_MARK, mark)
            present = self.read(_MARK, limit=2**16)
        except StoreError:
            raise
        except OSError as error:
            raise StoreRefused(f"cannot use the store {self.url}: {error}; set CREDIT_STORE to another one") from error
        if present != mark:
            raise StoreError(
                f"{self.where(_MARK)} is not this version's ({mark.decode()}): the store was made by another version of "
                "diffusion-credit, or the file is somebody else's; set CREDIT_STORE to another place"
            )

    def read(self, key: str, expected_sha256: str | None = None, *, limit: int | None = None) -> bytes:
        """The bytes under `key`.

        Args:
            limit: most bytes it may have; without one, what fits into this machine's free memory. More are not fetched.

        Raises:
            FileNotFoundError: if there are none.
            StoreError: if they do not have the digest they were recorded with, or there are too many.
        """
        most = psutil.virtual_memory().available if limit is None else limit
        data = self._objects.read(self._path(key), most, small=most <= SMALL)
        if expected_sha256 is not None and sha256(data) != expected_sha256:
            raise self._damaged(key, expected_sha256)
        return data

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`. A store that does not answer is an error, not an absence."""
        return self._objects.exists(self._path(key))

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder `prefix`, sorted. What has no name of ours is not ours, and is not listed."""
        return list(self.entries(prefix))

    def entries(self, prefix: str) -> dict[str, Entry]:
        """As `list`, with each key's size and version."""
        start = f"{self._root}/"
        found = self._objects.entries(self._path(prefix))
        keys = {path.removeprefix(start): entry for path, entry in found.items() if path.startswith(start)}
        return {key: keys[key] for key in sorted(keys) if key.startswith(f"{prefix}/") and _KEY.fullmatch(key)}

    def write(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what was there, whole or not at all."""
        self._objects.replace(self._path(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` if nothing is there. Returns whether this call was the one that did.

        Raises:
            StoreError: if the store turns out not to keep this promise.
        """
        return self._objects.create(self._path(key), data)

    def delete(self, key: str) -> None:
        """Remove what is under `key`; nothing happens if it is not there."""
        self._objects.delete(self._path(key))

    def write_file(self, key: str, source: Path) -> str:
        """Store a local file's content under `key`, as `write`, with little of it in memory. Returns its sha256."""
        digest = sha256_of_file(source)
        self._objects.put_file(source, self._path(key))
        return digest

    def read_file(self, key: str, target: Path, expected_sha256: str) -> None:
        """Write the bytes under `key` to a local file, with little of them in memory.

        Raises:
            FileNotFoundError: if there are none.
            StoreError: if they do not have the digest they were recorded with; then there is no file.
            DiskFull: if they are more than the target's disk has room for; then there is none either.
        """
        path = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._objects.get_file(path, target, shutil.disk_usage(target.parent).free)
        if sha256_of_file(target) != expected_sha256:
            target.unlink()
            raise self._damaged(key, expected_sha256)

    def remove_litter(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        self._objects.remove_litter()

    def save_arrays(self, key: str, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> str:
        """Write arrays as safetensors. Returns the sha256 of the bytes."""
        data = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata=metadata)
        self.write(key, data)
        return sha256(data)

    def save_named_by_content(self, prefix: str, arrays: dict[str, np.ndarray]) -> str:
        """Write arrays under `<prefix>/<sha256>.safetensors`, unless they are there. Returns the sha256.

        A name by content cannot be overwritten with other content: two runs that make the same thing and get other bytes
        (another machine, another card) leave each other's bytes alone, and the ledger says whose count.
        """
        data = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
        digest = sha256(data)
        key = f"{prefix}/{digest}.safetensors"
        if not self.exists(key):
            self.write(key, data)
        return digest

    def load_arrays(self, key: str, expected_sha256: str | None = None) -> dict[str, np.ndarray]:
        """Read arrays that `save_arrays` wrote.

        Raises:
            FileNotFoundError, StoreError: as `read`; also if it is not a safetensors file of arrays that numpy has.
        """
        data = self.read(key, expected_sha256)
        try:
            return safetensors.numpy.load(data)
        except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type numpy does not have
            raise StoreError(f"{self.where(key)} holds no arrays: {error}") from error

    def upload_folder(self, folder: Path, prefix: str) -> dict[str, str]:
        """Write every file below a local folder. Returns the sha256 of each by its relative name."""
        names = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        return {name: self.write_file(f"{prefix}/{name}", path) for name, path in names.items()}

    def download_folder(self, prefix: str, folder: Path, digests: dict[str, str]) -> None:
        """Bring files that `upload_folder` wrote back to a local folder, each checked against its digest.

        The names come from a record, and so from the store: those that would lead out of the folder are no keys.
        """
        for name, expected in digests.items():
            self.read_file(f"{prefix}/{name}", folder / name, expected)

    def where(self, key: str) -> str:
        """The full address of a key, for people."""
        return self._objects.where(self._path(key))

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is not a key of the store: parts of letters, digits, '.', '_' and '-' only")
        return f"{self._root}/{key}"

    def _damaged(self, key: str, expected: str) -> StoreError:
        return StoreError(
            f"{self.where(key)} does not have the sha256 it was recorded with ({expected[:12]}…): "
            "it was changed or damaged. Delete it, and its ledger record, to have it made again."
        )


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """A local folder for formats that only libraries can write, such as a diffusers pipeline.

    Raises:
        DiskFull: if there is no room for what is written there.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="credit-") as folder:
            yield folder
    except StoreError:
        raise  # of the store, which was written to meanwhile
    except (OSError, SafetensorError) as error:
        if not is_full(error):
            raise
        raise full_of_temporary_files(error) from error
