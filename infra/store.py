"""The store: named bytes in a folder or a bucket, and the four promises everything else rests on.

- a write is whole or absent: readers never see half an object;
- `create` has one winner, however many try;
- nothing is executed on reading: bytes, JSON and safetensors only, and what has a known digest is checked against it;
- keys are relative, made of plain parts, and cannot leave the store.

    <url>/data/<sha256>.safetensors       prepared images of a dataset at one resolution
          reference/<sha256>/…            a diffusers pipeline folder, named by its weights
          pruned/<sha256>.safetensors, .json   weights; architecture
          statistics/<sha256>.safetensors reference statistics of a property
          models/<sha256>.safetensors     fine-tuned weights, where the study keeps them
          samples/<sha256>.safetensors    generated images
          ledger/<kind>/<d>.json          what is known of each of them (infra.ledger)
          leases/<study>/<n>.json         who is running a study (infra.lease)
          studies/<study>/<run>/…         statements; latest.json names the newest

A folder's way of keeping them is infra.local_files; a bucket puts whole objects by itself.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import safetensors.numpy
from safetensors import SafetensorError

from infra import local_files
from infra.digest import sha256

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_IN_MEMORY = threading.Lock()  # fsspec's memory store looks first and writes then


class StoreError(RuntimeError):
    """The store cannot be used, or holds something that is not what its name says."""


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
        try:
            # Cached listings would show a folder as it was, and objects with the size they had.
            self._fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError, OSError) as error:
            raise StoreError(
                f"cannot open the store '{url}': {error}; set CREDIT_STORE to a folder or s3://…"
            ) from error
        protocols = (self._fs.protocol,) if isinstance(self._fs.protocol, str) else tuple(self._fs.protocol)
        self._local, self._memory = "file" in protocols, "memory" in protocols
        self._root = os.path.realpath(root).rstrip("/") if self._local else str(root).rstrip("/")
        self.url = (self._root or "/") if self._local else url
        if not (self._local or self._memory):
            if not _creates_exclusively(self._fs):
                raise StoreError(
                    f"cannot use '{url}' as the store: {protocols[0]} cannot create an object only if it is absent, and "
                    "two runs could both believe they were first; set CREDIT_STORE to a folder or s3://…"
                )
            if not self._root:
                raise StoreError(f"the store '{url}' names no bucket; set CREDIT_STORE to s3://bucket/prefix")

    def read(self, key: str, expected_sha256: str | None = None, *, limit: int | None = None) -> bytes:
        """The bytes under `key`.

        Args:
            limit: most bytes it may have; without one, what fits into this machine's free memory. Asked of the store
                before anything is read.

        Raises:
            FileNotFoundError: if there are none.
            StoreError: if they do not have the digest they were recorded with, or there are too many.
        """
        most = psutil.virtual_memory().available if limit is None else limit
        path = self._path(key)
        size = local_files.size(path) if self._local else self._fs.info(path)["size"]
        if size is None:
            raise StoreError(f"{self.where(key)} is not a plain file")
        if size > most:
            raise StoreError(f"{self.where(key)} is too large: {size:,} bytes, where {most:,} is the most to be read")
        data: bytes = self._fs.cat_file(path)
        if expected_sha256 is not None and sha256(data) != expected_sha256:
            raise StoreError(
                f"{self.where(key)} does not have the sha256 it was recorded with ({expected_sha256[:12]}…): "
                "it was changed or damaged. Delete it, and its ledger record, to have it made again."
            )
        return data

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`. A store that does not answer is an error, not an absence."""
        try:
            return bool(self._fs.info(self._path(key))["type"] == "file")
        except FileNotFoundError:
            return False

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder `prefix`, sorted. What has no name of ours is not ours, and is not listed."""
        try:
            found = self._fs.find(self._path(prefix))
        except FileNotFoundError:
            return []
        start = f"{self._root}/"
        keys = (path.removeprefix(start) for path in found if path.startswith(start))
        return sorted(key for key in keys if key.startswith(f"{prefix}/") and _KEY.fullmatch(key))

    def write(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what was there, whole or not at all."""
        path = self._path(key)
        if self._local:
            local_files.replace(path, data)
        else:
            self._fs.pipe_file(path, data)  # object stores put whole objects

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` if nothing is there. Returns whether this call was the one that did."""
        path = self._path(key)
        if self._local:
            return local_files.create(path, data)
        try:
            with _IN_MEMORY if self._memory else contextlib.nullcontext():
                self._fs.pipe_file(path, data, mode="create")
        except OSError:
            # s3fs raises FileExistsError or OSError(EINVAL), depending on the server, when If-None-Match fails.
            if self.exists(key):
                return False
            raise
        return True

    def delete(self, key: str) -> None:
        """Remove what is under `key`; nothing happens if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(key))

    def remove_litter(self) -> None:
        """Remove what processes left that were killed while they wrote into a folder. A bucket keeps no such halves."""
        if self._local:
            local_files.remove_litter(self._root)

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
        digests = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = path.relative_to(folder).as_posix()
            data = path.read_bytes()
            self.write(f"{prefix}/{name}", data)
            digests[name] = sha256(data)
        return digests

    def download_folder(self, prefix: str, folder: Path, digests: dict[str, str]) -> None:
        """Bring files that `upload_folder` wrote back to a local folder, each checked against its digest.

        The names come from a record, and so from the store: `read` refuses those that would lead out of the folder.
        """
        for name, expected in digests.items():
            data = self.read(f"{prefix}/{name}", expected)
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def where(self, key: str) -> str:
        """The full address of a key, for people."""
        return self._path(key) if self._local else f"{self.url.rstrip('/')}/{key}"

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise StoreError(f"{key!r} is not a key of the store: parts of letters, digits, '.', '_' and '-' only")
        return f"{self._root}/{key}"


def _creates_exclusively(fs: Any) -> bool:
    """Whether a file system promises "create if absent" itself. fsspec's fallback looks first and writes then, and some
    file systems take any option and do nothing with it: only one that names the mode can keep it."""
    put = getattr(fs, "_pipe_file", None)
    return put is not None and "mode" in inspect.signature(put).parameters


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A local folder for formats that only libraries can write, such as a diffusers pipeline."""
    return tempfile.TemporaryDirectory(prefix="credit-")
