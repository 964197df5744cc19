"""The store: named bytes in a folder or a bucket, and the four promises everything else rests on.

- a write is whole or absent: readers never see half an object;
- `create` has one winner, however many try;
- nothing is executed on reading: bytes, JSON and safetensors only, and what has a known digest is checked against it;
- keys are relative, made of plain parts, and cannot leave the store.

    <url>/data/<d>.safetensors            prepared images of a dataset at one resolution
          reference/<d>/…                 a diffusers pipeline folder
          pruned/<d>.safetensors, .json   weights; architecture
          statistics/<d>.safetensors      reference statistics of a property
          models/<d>.safetensors          fine-tuned weights, where the study keeps them
          samples/<d>.safetensors         generated images
          ledger/<kind>/<d>.json          what is known of each of them (infra.ledger)
          leases/<study>/<n>.json         who is running a study (infra.lease)
          studies/<study>/<run>/…         statements; latest.json names the newest
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import safetensors.numpy

from infra.digest import sha256

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class StoreError(RuntimeError):
    """The store cannot be used, or holds something that is not what its name says."""


class Store:
    """Named bytes below one fsspec URL. Cheap to make; safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"cannot open the store '{url}': {error}; set CREDIT_STORE to a folder or s3://…"
            ) from error
        self._root = str(root).rstrip("/")
        self._folder = Path(self._root) if "file" in _protocols(self._fs) else None

    def read(self, key: str, expected_sha256: str | None = None) -> bytes:
        """The bytes under `key`.

        Raises:
            FileNotFoundError: if there are none.
            StoreError: if they do not have the digest they were recorded with.
        """
        data: bytes = self._fs.cat_file(self._path(key))
        if expected_sha256 is not None and sha256(data) != expected_sha256:
            raise StoreError(
                f"{self.url}/{key} does not have the sha256 it was recorded with ({expected_sha256[:12]}…): "
                "it was changed or damaged. Delete it, and its ledger record, to have it made again."
            )
        return data

    def exists(self, key: str) -> bool:
        """Whether something is stored under `key`, asked of the store itself, not of a cached listing."""
        self._fs.invalidate_cache()
        return bool(self._fs.exists(self._path(key)))

    def list(self, prefix: str) -> list[str]:
        """All keys below `prefix`, sorted."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._path(prefix))
        except FileNotFoundError:
            return []
        keys = (path[path.index(self._root) + len(self._root) + 1 :] for path in found)
        return sorted(key for key in keys if not _is_temporary(key))

    def write(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, replacing what was there, whole or not at all."""
        path = self._path(key)
        if self._folder is None:
            self._fs.pipe_file(path, data)  # object stores put whole objects
        else:
            with _temporary_file(Path(path), data) as temporary:
                os.replace(temporary, path)

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` if nothing is there. Returns whether this call was the one that did."""
        path = self._path(key)
        if self._folder is not None:
            with _temporary_file(Path(path), data) as temporary:
                try:
                    os.link(temporary, path)  # fails if the name exists: one winner, also between processes
                except FileExistsError:
                    return False
            return True
        try:
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

    def save_arrays(self, key: str, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> str:
        """Write arrays as safetensors. Returns the sha256 of the bytes."""
        data = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()}, metadata=metadata)
        self.write(key, data)
        return sha256(data)

    def load_arrays(self, key: str, expected_sha256: str | None = None) -> dict[str, np.ndarray]:
        """Read arrays that `save_arrays` wrote."""
        return safetensors.numpy.load(self.read(key, expected_sha256))

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
        """Bring files that `upload_folder` wrote back to a local folder, each checked against its digest."""
        for name, expected in digests.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(f"{prefix}/{name}", expected))

    def where(self, key: str) -> str:
        """The full address of a key, for people."""
        return self._path(key) if self._folder is not None else f"{self.url.rstrip('/')}/{key}"

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise StoreError(f"'{key}' is not a key of the store: parts of letters, digits, '.', '_' and '-' only")
        return f"{self._root}/{key}"


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(".")


@contextlib.contextmanager
def _temporary_file(path: Path, data: bytes) -> Any:
    """A hidden, complete, flushed copy of `data` beside `path`; gone afterwards whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A local folder for formats that only libraries can write, such as a diffusers pipeline."""
    return tempfile.TemporaryDirectory(prefix="credit-")
