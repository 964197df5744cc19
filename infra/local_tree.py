"""Looks into a folder of this machine that others may write to: nothing leads out of it, nothing is waited for without end.

A name that was harmless when the folder was listed may be a link when it is opened, so nothing is read by its path: each
part is opened below the one before it, and none of them may be a link (what leads out by `..` is refused before).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DEEPEST = 64  # folders within folders


class NotPlain(OSError):
    """What is there is no plain file: a link, a pipe, a device, a folder; or more than was asked for. The message says what,
    as the end of the sentence "the file …"."""


@dataclass(frozen=True)
class Entry:
    """One name in the tree, as it is itself: links are not followed.

    name: relative, with forward slashes. status: None if it cannot be looked at or into, for a reason that ends the sentence
    "the folder …".
    """

    name: str
    status: os.stat_result | None
    reason: str = ""

    @property
    def is_folder(self) -> bool:
        return self.status is not None and stat.S_ISDIR(self.status.st_mode)


def tree(root: str, into: Callable[[str], bool] = lambda name: True) -> Iterator[Entry]:
    """Everything below a folder, each folder's names in order and before what is in them; nothing is left out silently.

    Args:
        into: whether to look into the folder of this relative name.

    Raises:
        OSError: if the root itself cannot be looked into.
    """
    to_do = [""]
    while to_do:
        folder = to_do.pop()
        if folder.count("/") >= DEEPEST:
            yield Entry(folder, None, f"lies more than {DEEPEST} folders deep; nothing in it is looked at")
            continue
        try:
            with os.scandir(os.path.join(root, folder) if folder else root) as found:
                names = sorted(entry.name for entry in found)
        except OSError as error:
            if not folder:
                raise
            yield Entry(folder, None, f"cannot be looked into ({error.strerror})")
            continue
        below = []
        for plain in names:
            name = f"{folder}/{plain}" if folder else plain
            try:
                entry = Entry(name, os.lstat(os.path.join(root, name)))
            except FileNotFoundError:
                continue  # it went away meanwhile
            except OSError as error:
                entry = Entry(name, None, f"cannot be looked at ({error.strerror})")
            yield entry
            if entry.is_folder and into(name):
                below.append(name)
        to_do += reversed(below)


def read_below(root: str, name: str, most: int) -> bytes:
    """A plain file's bytes. No part of `name`, which is relative and without `..`, is a link when it is opened.

    Raises:
        NotPlain: if it is none, or has more than `most` bytes.
        OSError: as the file system raises it.
    """
    handle = _open_below(root, name)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotPlain("is a pipe, a device or a folder by now")
    with os.fdopen(handle, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotPlain(f"has more than the {most:,} bytes that it had when the folder was listed")
    return data


def _open_below(root: str, name: str) -> int:
    *folders, last = name.split("/")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            deeper = _open(part, os.O_DIRECTORY, here)
            os.close(here)
            here = deeper
        return _open(last, os.O_NONBLOCK, here)  # a pipe that has taken a file's place is not waited for
    finally:
        os.close(here)


def _open(part: str, flags: int, folder: int) -> int:
    try:
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if stat.S_ISLNK(os.lstat(part, dir_fd=folder).st_mode):
            raise NotPlain("is reached through a link by now") from error
        if error.errno in _NOT_A_FILE:
            raise NotPlain("is a pipe, a device or a folder by now") from error
        raise


# A socket, a part that is no folder, a device that nobody serves.
_NOT_A_FILE = {errno.ENXIO, errno.ENOTDIR, errno.ENODEV}
