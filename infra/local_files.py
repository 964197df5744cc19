"""Files that are whole or absent, in a folder of this machine or one that several machines share.

A complete, flushed copy is made under a hidden name beside the file; then it gets its name in one step. A process that is
killed in between leaves the hidden copy, never half a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".part"
_LITTER_SECONDS = 24 * 3600.0  # no write takes as long: a hidden copy this old belongs to a dead process
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}


def size(path: str) -> int | None:
    """Bytes of a file; None for what is not a plain file: reading a pipe that somebody put there would never end.

    Raises:
        FileNotFoundError: if there is nothing.
    """
    status = os.stat(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def replace(path: str, data: bytes) -> None:
    """Give `path` this content, whatever was there."""
    with _hidden_copy(Path(path), data) as copy:
        os.replace(copy, path)
        _flush_folder(copy.parent)


def create(path: str, data: bytes) -> bool:
    """Give `path` this content if nothing is there. Returns whether this call was the one that did.

    Raises:
        OSError: with a reason for people, if the folder's file system has no hard links.
    """
    with _hidden_copy(Path(path), data) as copy:
        try:
            os.link(copy, path)  # fails if the name exists: one winner, also between processes
        except FileExistsError:
            # A network file system may do it, lose the answer, and be asked again.
            return copy.stat().st_nlink == 2
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise OSError(
                    error.errno, "this file system has no hard links, without which two runs could both be first", path
                ) from error
            raise
        _flush_folder(copy.parent)
    return True


def remove_litter(root: str) -> None:
    """Delete hidden copies that killed processes left below `root`."""
    for copy in Path(root).rglob(f".*{_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another run may be doing the same
            if time.time() - copy.stat().st_mtime > _LITTER_SECONDS:
                copy.unlink()


@contextlib.contextmanager
def _hidden_copy(path: Path, data: bytes) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = path.parent / f".{uuid.uuid4().hex}{_SUFFIX}"
    try:
        with open(copy, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """The name survives a power failure too: a record must not outlive the weights it speaks of."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
