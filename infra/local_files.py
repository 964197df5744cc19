"""Files that are whole or absent, in a folder of this machine or one that several machines share.

A complete, flushed copy is made under a hidden name beside the file; then it gets its name in one step. A process that is
killed in between leaves the hidden copy, never half a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fsspec.implementations.local import LocalFileSystem

from infra.store_types import FULL, DiskFull, Entry, StoreError, StoreUnavailable, no_room_to_fetch

_SUFFIX = ".part"
_OURS = re.compile(r"\.[0-9a-f]{32}\.part")  # exactly what _hidden_copy gives
_LITTER_SECONDS = 24 * 3600.0  # no write takes as long: a hidden copy this old belongs to a dead process
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}


class Folder:
    """Files below one folder. Paths are absolute."""

    def __init__(self, folder: str) -> None:
        self.root = os.path.realpath(folder).rstrip("/")
        self._fs = LocalFileSystem()

    def where(self, path: str) -> str:
        """The full address of a path, for people."""
        return path

    def exists(self, path: str) -> bool:
        """Whether there is such a file. A folder that cannot be looked into is an error, not an absence."""
        try:
            return bool(self._fs.info(path)["type"] == "file")
        except FileNotFoundError:
            return False

    def read(self, path: str, most: int, *, small: bool = False) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if it has more than `most` bytes, or is not a plain file.
        """
        size = self._size(path)
        if size > most:
            raise StoreError(f"{path} is too large: {size:,} bytes, where {most:,} is the most to be read")
        return Path(path).read_bytes()

    def entries(self, path: str) -> dict[str, Entry]:
        """All files below a folder, by their paths; none if there is no such folder.

        Raises:
            OSError: if a folder or a file cannot be looked into: what is not seen there must not pass for absent.
            StoreError: if a link below it leads to another folder, or nowhere.
        """
        found: dict[str, Entry] = {}

        def failed(error: OSError) -> None:
            if error.filename == path and isinstance(error, FileNotFoundError | NotADirectoryError):
                return  # nothing lies below what is not there, or is a file
            raise _unseen(error) from error

        for folder, folders, files in os.walk(path, onerror=failed):
            for name in folders:
                if os.path.islink(f"{folder}/{name}"):
                    # Followed, it could lead in a circle, or to one thing under two names.
                    raise StoreError(f"{folder}/{name} is a link to a folder: put the folder itself there, or mount it")
            for name in files:
                entry = _entry(f"{folder}/{name}")
                if entry is not None:
                    found[f"{folder}/{name}"] = entry
        return found

    def replace(self, path: str, data: bytes) -> None:
        """Give `path` this content, whatever was there."""
        with self._hidden_copy(path, data) as copy:
            os.replace(copy, path)
            _flush_folder(copy.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Give `path` this content if nothing is there. Returns whether this call was the one that did.

        Raises:
            OSError: with a reason for people, if the folder's file system has no hard links.
        """
        with self._hidden_copy(path, data) as copy:
            try:
                os.link(copy, path)  # fails if the name exists: one winner, also between processes
            except FileExistsError:
                # A network file system may do it, lose the answer, and be asked again.
                return copy.stat().st_nlink == 2
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise OSError(
                        error.errno,
                        "this file system has no hard links, without which two runs could both be first",
                        path,
                    ) from error
                raise
            _flush_folder(copy.parent)
        return True

    def delete(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def put_file(self, source: Path, path: str) -> None:
        """Give `path` another file's content, without having all of it in memory."""
        with open(source, "rb") as content, self._hidden_copy(path, content) as copy:
            os.replace(copy, path)
            _flush_folder(copy.parent)

    def get_file(self, path: str, target: Path, most: int) -> None:
        """Copy a file's bytes into a file elsewhere.

        Raises:
            FileNotFoundError: if there is none.
            DiskFull: if it has more than `most` bytes, which is what the target's disk has room for.
            StoreError: if it is not a plain file.
        """
        size = self._size(path)
        if size > most:
            raise no_room_to_fetch(path, size, most, str(target.parent))
        shutil.copyfile(path, target)

    def remove_litter(self) -> None:
        """Delete hidden copies that killed processes left."""
        for copy in Path(self.root).rglob(f".*{_SUFFIX}"):
            if not _OURS.fullmatch(copy.name):
                continue  # other programs write in this way too
            with contextlib.suppress(FileNotFoundError):  # another run may be doing the same
                if time.time() - copy.stat().st_mtime > _LITTER_SECONDS:
                    copy.unlink()

    @contextlib.contextmanager
    def _hidden_copy(self, path: str, content: bytes | BinaryIO) -> Iterator[Path]:
        folder = Path(path).parent
        copy = folder / f".{uuid.uuid4().hex}{_SUFFIX}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(copy, "xb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    shutil.copyfileobj(content, file, 2**20)
                file.flush()
                os.fsync(file.fileno())
            yield copy
        except OSError as error:
            if error.errno in FULL:
                raise self._full(error) from error
            raise
        finally:
            copy.unlink(missing_ok=True)

    def _full(self, error: OSError) -> DiskFull:
        return DiskFull(
            f"the disk of the store {self.root} is full ({error.strerror}). Make room on it, or enlarge it, and start the "
            "same command again: what was finished is kept, and nothing half-written stays. What no statement needs is "
            "listed by `make gc`"
        )

    def _size(self, path: str) -> int:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe that somebody put there would never end
            raise StoreError(f"{path} is not a plain file")
        return status.st_size


def _unseen(error: OSError) -> OSError:
    """What is raised where a folder could not be listed."""
    if isinstance(error, FileNotFoundError):  # which readers take for an absence of what they asked for
        return StoreUnavailable(f"{error.filename} went away while the store was being listed; try again")
    return error


def _entry(path: str) -> Entry | None:
    """A listed file's entry; None if it has just been deleted, as leases and hidden copies are all the time."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise StoreError(f"{path} is a link that leads nowhere: is a disk not mounted?") from None
        return None
    return Entry(status.st_size, None, status.st_mtime)


def _flush_folder(folder: Path) -> None:
    """The name survives a power failure too: a record must not outlive the weights it speaks of."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
