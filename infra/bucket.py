"""Objects of a bucket, or of whatever else fsspec can reach that creates exclusively, through one interface with folders.

Three traps of s3fs are dealt with here, so that nobody else meets them. Its listings are cached: a run would not see what
others wrote. Its errors are of three families, and many do not say what is wrong with which setting. And `mode="create"`
asks the server to store an object only if there is none, but some servers take the question and store it all the same:
so the first object that a `Bucket` creates is created once more, which must fail.

Credentials, region and endpoint come from the standard AWS chain only (environment, profile, role of the machine).
"""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
from botocore.exceptions import BotoCoreError
from fsspec.callbacks import Callback

from infra.bucket_errors import broken_off, codes, explained
from infra.store_types import Entry, StoreError, StoreRefused, no_room_to_fetch

S3 = {"s3", "s3a"}
CONNECT_SECONDS = 10  # an address where nothing answers, times the five attempts that AWS's clients make
CONNECTIONS = 32  # at the same time: a ledger's records are many and small
PART = 8 * 2**20  # bytes of one part of a large object; four are in memory at once
PARTS_AT_ONCE = 4
MOST_PARTS = 10_000  # of one object; S3's limit
_TAKEN = {"PreconditionFailed", "412"}  # SeaweedFS and AWS, and servers that give no more than the status
_CONFLICT = {"ConditionalRequestConflict", "409"}  # another write of that key is going on at this very moment
_CONFLICTS = 20
_EMPTY = {"InvalidRange", "416"}
_LITTER_AGE = timedelta(days=1)
_IN_MEMORY = threading.Lock()  # fsspec's memory store looks first and writes then


class Bucket:
    """Objects below one URL. Paths are `<bucket>/<key>`.

    Raises:
        StoreError: if there is no such kind of file system, or it cannot create exclusively, or the URL names no bucket.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if "@" in rest.split("/")[0]:  # not repeated in the message: there may be a secret in it
            raise StoreError(
                "CREDIT_STORE holds an '@': credentials come from the standard AWS chain (AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role), never from the address"
            )
        options: dict[str, Any] = {"use_listings_cache": False}
        if scheme in S3:
            # These never say whose: all of that is the AWS chain's.
            options["config_kwargs"] = {"connect_timeout": CONNECT_SECONDS, "max_pool_connections": CONNECTIONS}
        try:
            self._fs, root = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError, OSError, BotoCoreError) as error:
            raise StoreError(
                f"cannot open the store '{url}': {error}; set CREDIT_STORE to a folder or s3://…"
            ) from error
        self._scheme, self._s3, self._memory = scheme, scheme in S3, scheme == "memory"
        self.root = str(root).rstrip("/")
        # botocore has a ValueError for addresses that are none.
        self._errors = (BotoCoreError, OSError, ValueError, *(broken_off() if self._s3 else ()))
        self._proven = self._memory
        if self._memory:
            return
        if not _creates_exclusively(self._fs):
            raise StoreError(
                f"cannot use '{url}' as the store: {scheme} cannot create an object only if it is absent, and "
                "two runs could both believe they were first; set CREDIT_STORE to a folder or s3://…"
            )
        if not self.root:
            raise StoreError(f"the store '{url}' names no bucket; set CREDIT_STORE to s3://bucket/prefix")
        if any(part in ("", ".", "..") for part in self.root.split("/")):
            raise StoreError(
                f"cannot use '{url}' as the store: S3 has no folders, so '//' and '..' would be names, and some servers "
                "do not list what is below them; set CREDIT_STORE to s3://bucket/prefix"
            )

    def where(self, path: str) -> str:
        """The full address of a path, for people."""
        return f"{self._scheme}://{path.lstrip('/') if self._memory else path}"

    def exists(self, path: str) -> bool:
        """Whether there is such an object. A store that does not answer is an error, not an absence."""
        try:
            with self._explained():
                return bool(self._fs.info(path)["type"] == "file")
        except FileNotFoundError:
            return False

    def read(self, path: str, most: int, *, small: bool) -> bytes:
        """An object's bytes.

        Args:
            most: more than these are not fetched.
            small: whether `most` is little enough to fetch that much: then one request answers both questions.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it has more than `most` bytes.
        """
        with self._explained():
            if small and self._s3:
                data = self._head_of(path, most + 1)
                if len(data) <= most:
                    return data
            size = self._fs.info(path)["size"]
            if size > most:
                raise StoreError(
                    f"{self.where(path)} is too large: {size:,} bytes, where {most:,} is the most to be read"
                )
            # One stream is asked again where it breaks off; s3fs's parallel ones are not.
            return bytes(self._fs.cat_file(path, **({"max_concurrency": 1} if self._s3 else {})))

    def entries(self, path: str) -> dict[str, Entry]:
        """All objects below a path, by their paths; none if there is nothing."""
        try:
            with self._explained():
                found = self._fs.find(path, detail=True)
        except FileNotFoundError:
            return {}
        return {name: _entry(info) for name, info in found.items()}

    def replace(self, path: str, data: bytes) -> None:
        """Store an object, whole or not at all, whatever was there."""
        with self._explained():
            self._fs.pipe_file(path, data, **self._parts(len(data)))

    def create(self, path: str, data: bytes) -> bool:
        """Store an object if there is none. Returns whether this call was the one that did.

        A request whose answer was lost is sent again, and then finds its own object: False, though it was us. Who needs to
        know compares what is there.

        Raises:
            StoreError: if the server has now replaced an object that it was asked to leave alone.
        """
        with self._explained():
            if not self._put_if_absent(path, data):
                return False
            if not self._proven:
                if self._put_if_absent(path, data):  # the same bytes: no harm done, but it must not have worked
                    raise StoreError(
                        f"the server of {self.where(path)} ignores 'If-None-Match: *' and replaces what it was asked to "
                        "leave alone, so two runs could both believe they were first. Use one that keeps to it (AWS S3, "
                        "MinIO, SeaweedFS, …), or set CREDIT_STORE to a folder; a gateway before it may be what drops it."
                    )
                self._proven = True
            return True

    def delete(self, path: str) -> None:
        """Remove an object; nothing happens if there is none."""
        with contextlib.suppress(FileNotFoundError), self._explained():
            self._fs.rm_file(path)

    def put_file(self, source: Path, path: str) -> None:
        """Store a local file as an object, in parts if it is large: not the whole file is in memory."""
        with self._explained():
            self._fs.put_file(str(source), path, **self._parts(source.stat().st_size))

    def get_file(self, path: str, target: Path, most: int) -> None:
        """Write an object's bytes into a local file, as they come in.

        Raises:
            FileNotFoundError: if there is none.
            DiskFull: if it has more than `most` bytes, which is what the target's disk has room for; they are not fetched.
        """
        room = _Room(most, self.where(path), target)
        with self._explained():
            self._fs.get_file(path, str(target), callback=room, **({"max_concurrency": 1} if self._s3 else {}))

    def remove_litter(self) -> None:
        """Drop large objects' parts that killed writers left behind: nobody sees them, but they cost. Where we may not, the
        bucket's own rule for unfinished uploads has to do it (docs/storage.md)."""
        if not self._s3:
            return
        bucket, _, prefix = self.root.partition("/")
        with contextlib.suppress(StoreRefused), self._explained():
            answer = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "")
            for upload in answer.get("Uploads", []):
                if datetime.now(UTC) - upload["Initiated"] > _LITTER_AGE:
                    self._fs.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def _head_of(self, path: str, count: int) -> bytes:
        try:
            return bytes(self._fs.cat_file(path, start=0, end=count))
        except OSError as error:
            if codes(error) & _EMPTY:
                return b""
            raise

    def _put_if_absent(self, path: str, data: bytes) -> bool:
        for _ in range(_CONFLICTS):
            try:
                with _IN_MEMORY if self._memory else contextlib.nullcontext():
                    self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if codes(error) & _TAKEN:
                    return False
                if not codes(error) & _CONFLICT:
                    raise
            else:
                return True
        raise StoreError(f"{self.where(path)} is being written by others all the time; try again")

    def _parts(self, size: int) -> dict[str, int]:
        if not self._s3:
            return {}
        return {"chunksize": max(PART, math.ceil(size / MOST_PARTS)), "max_concurrency": PARTS_AT_ONCE}

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what any layer below raises into a StoreError that says what to do; absence stays FileNotFoundError."""
        try:
            yield
        except StoreError:
            raise
        except self._errors as error:
            meant = explained(error, self.where(self.root)) if self._s3 else None
            if meant is None:
                raise
            raise meant from error


class _Room(Callback):
    """Is told an object's size before any of it is fetched."""

    def __init__(self, most: int, where: str, target: Path) -> None:
        super().__init__()
        self._most, self._where, self._target = most, where, target

    def set_size(self, size: int | None) -> None:
        if size is not None and size > self._most:
            self._target.unlink(missing_ok=True)
            raise no_room_to_fetch(self._where, size, self._most, str(self._target.parent))
        super().set_size(size)


def _entry(info: dict[str, Any]) -> Entry:
    written = info.get("LastModified", info.get("created"))  # S3's; the memory store's
    if isinstance(written, datetime):
        written = written.timestamp()
    return Entry(int(info["size"]), str(info.get("ETag") or "") or None, written)


def _creates_exclusively(fs: Any) -> bool:
    """Whether a file system has "create if absent" at all. fsspec's fallback looks first and writes then, and some file
    systems take any option and do nothing with it: only one that names the mode can keep it."""
    put = getattr(fs, "_pipe_file", None)
    return put is not None and "mode" in inspect.signature(put).parameters
