"""The data folder, local or at any fsspec URL: what is in it, and reading one file of it.

Everything is listed once. No name may lead out of the folder: not by `..`, not by an absolute path and, for local
folders, not by a symbolic link.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

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
        """The bytes of a listed file; OSError as the file system raises it."""
        return bytes(self.filesystem.cat_file(f"{self.root}/{name}"))

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
        for where, folders, files in os.walk(self.root, followlinks=False):
            prefix = os.path.relpath(where, self.root).replace(os.sep, "/")
            prefix = "" if prefix == "." else prefix + "/"
            for entry in sorted(folders):
                if os.path.islink(os.path.join(where, entry)):
                    self._refuse(prefix + entry, "outside-folder", "is a link to a folder; links are not followed")
                elif not prefix:
                    self.folders.add(entry)
            for entry in sorted(files):
                path, name = os.path.join(where, entry), prefix + entry
                real = os.path.realpath(path)
                if os.path.commonpath([real, real_root]) != real_root:
                    self._refuse(name, "outside-folder", "is a link that leads out of the data folder; copy the file")
                    continue
                try:
                    found = os.stat(path)
                except OSError:
                    self._refuse(name, "missing-file", "is a link to nothing")
                    continue
                if stat.S_ISREG(found.st_mode):
                    self.files[name] = found.st_size
                else:
                    self._refuse(name, "unreadable", "is a pipe or a device, not a file")

    def _refuse(self, name: str, kind: str, reason: str) -> None:
        self.refused[name] = Problem(name, kind, f"{name!r} {reason}", "left out")


def relative_path(file_name: str) -> str:
    """`file_name` of a metadata row as a plain relative path; ValueError says why it is refused."""
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
