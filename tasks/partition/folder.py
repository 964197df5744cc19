"""The data folder, local or at any fsspec URL: what is in it, and reading one file of it.

Everything is listed once. No name may lead out of the folder: not by `..`, not by an absolute path and, for local
folders, not by a symbolic link, also not by one that takes a file's place after the folder was listed.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from infra.local_tree import NotPlain, read_below, tree
from infra.names import LONGEST_PATH
from tasks.partition.images import Refused
from tasks.partition.types import DataError, Problem

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
OPENMOJI_STAMP = ".openmoji.json"  # marks a folder that tasks.partition.openmoji made


@dataclass
class Folder:
    """A listed data folder. `files` maps relative names, with forward slashes, to sizes in bytes."""

    url: str
    filesystem: Any
    root: str
    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)  # of the first level
    refused: dict[str, Problem] = field(default_factory=dict)  # links out of the folder, pipes, devices
    prefix: str = ""
    links: dict[str, str] = field(default_factory=dict)  # to files of the same folder: their own relative names

    @classmethod
    def open(cls, url: str) -> Folder:
        """List the folder at `url`; DataError if there is none."""
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise DataError(f"data.url {url!r} cannot be opened: {error}") from error
        # A long-lived process would otherwise see yesterday's listing of a bucket, and miss who joined.
        filesystem.invalidate_cache()
        if not filesystem.isdir(root):
            hint = "; make it with: python -m tasks.partition.openmoji --out data/openmoji" if "openmoji" in url else ""
            raise DataError(f"data.url {url!r}: there is no such folder{hint}")
        folder = cls(url=url, filesystem=filesystem, root=root.rstrip("/"))
        if isinstance(filesystem, LocalFileSystem):
            folder._list_local()
        else:
            folder._list_remote()
        return folder

    @property
    def is_local(self) -> bool:
        return isinstance(self.filesystem, LocalFileSystem)

    def read(self, name: str) -> bytes:
        """The bytes of a listed file; OSError as the file system raises it, Refused if it is a plain file no more."""
        if not self.is_local:
            return bytes(self.filesystem.cat_file(f"{self.root}/{name}"))
        try:
            return read_below(os.path.realpath(self.root), self.links.get(name, name), self.files[name])
        except NotPlain as error:
            raise Refused("changed", f"{name!r} {error}; it was changed while the folder was read") from error

    def named(self, name: str) -> list[str]:
        """The file of this name at the top, if there is one."""
        return [name] if name in self.files else []

    def _list_remote(self) -> None:
        for path, info in self.filesystem.find(self.root, withdirs=True, detail=True).items():
            name = path[len(self.root) :].strip("/")
            if not name:
                continue
            if info["type"] == "directory" or path.endswith("/"):
                self.folders.add(name.split("/")[0])
            else:
                self.files[name] = int(info.get("size") or 0)
                if "/" in name:
                    self.folders.add(name.split("/")[0])

    def _list_local(self) -> None:
        real_root = os.path.realpath(self.root)
        for entry in tree(real_root):
            name, status = entry.name, entry.status
            if status is None:
                self._refuse(name, "unreadable", entry.reason)
            elif entry.is_folder:
                if "/" not in name:
                    self.folders.add(name)
            elif stat.S_ISLNK(status.st_mode):
                self._list_link(name, real_root)
            elif stat.S_ISREG(status.st_mode):
                self.files[name] = status.st_size
            else:
                self._refuse(name, "unreadable", "is a pipe or a device, not a file")

    def _list_link(self, name: str, real_root: str) -> None:
        path = os.path.join(real_root, name)
        real = os.path.realpath(path)
        if os.path.isdir(path):
            self._refuse(name, "outside-folder", "is a link to a folder; links are not followed")
        elif not real.startswith(f"{real_root.rstrip('/')}/"):
            self._refuse(name, "outside-folder", "is a link that leads out of the data folder; copy the file")
        else:
            try:
                found = os.stat(path)
            except OSError:
                self._refuse(name, "missing-file", "is a link to nothing")
                return
            if stat.S_ISREG(found.st_mode):
                self.files[name] = found.st_size
                self.links[name] = os.path.relpath(real, real_root).replace(os.sep, "/")
            else:
                self._refuse(name, "unreadable", "is a pipe or a device, not a file")

    def _refuse(self, name: str, kind: str, reason: str) -> None:
        self.refused[name] = Problem(name, kind, f"{name!r} {reason}", "left out")


def relative_path(file_name: str) -> str:
    """`file_name` of a metadata row as a plain relative path; ValueError says why it is refused."""
    if len(file_name) > LONGEST_PATH:
        raise ValueError(f"is longer than {LONGEST_PATH} characters")
    if any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in file_name):
        raise ValueError("holds control characters")
    if "\\" in file_name:
        raise ValueError("holds backslashes; write forward slashes")
    if "://" in file_name or file_name.startswith(("/", "~")) or file_name[1:2] == ":":
        raise ValueError("is absolute; write it relative to the data folder")
    parts = [part for part in file_name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("leads out of the data folder by '..'")
    if not parts:
        raise ValueError("names no file")
    return "/".join(parts)
