"""What contributors hand in: where it lies, how it says that it is whole, and reading it.

    uploads/<collection>/<contributor>/<upload>/started.json    who began, when, how much is to come
                                                files/<sha256>  each file, named by its content
                                                complete.json   every file's name, sha256 and size; written last

An upload counts once `complete.json` is there, which is created exclusively after every file was read back: so it is whole
or absent, like everything else in a store. Its name is the digest of what it holds: the same files again are the same
upload, and one that was broken off goes on where it was. Files' own names never become keys.

Whoever hands in may be anybody: a manifest is believed only to the letter, only in its own contributor's folder, and only if
every file is there in the size it says; one that is not is set aside with the reason, and stands in nobody else's way.

    python -m infra.uploads [--at s3://…] [--collection NAME]     lists what is there
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from infra.digest import digest_of
from infra.ledger import Digest
from infra.names import key_part, refused_contributor, refused_file
from infra.settings import store_url
from infra.store import Entry, Store, StoreError

COLLECTION = "images"  # where nothing else is said
STARTED, COMPLETE, FILES = "started.json", "complete.json", "files"
MOST_FILES = 100_000
LARGEST_FILE = 2**30  # bytes; an image is much smaller
LARGEST_MANIFEST = 64 * 2**20
_COLLECTION = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


def _checked_file(name: str) -> str:
    reason = refused_file(name)
    if reason:
        raise ValueError(f"the file name {name[:200]!r} {reason}")
    return name


def _checked_contributor(name: str) -> str:
    reason = refused_contributor(name)
    if reason:
        raise ValueError(f"the contributor's name {name[:200]!r} {reason}")
    return name


class UploadedFile(BaseModel):
    """One file of an upload."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, AfterValidator(_checked_file)]  # relative, with forward slashes
    sha256: Digest
    size: int = Field(ge=0, le=LARGEST_FILE)


class Upload(BaseModel):
    """The manifest of a complete upload.

    Raises:
        ValueError: (pydantic's) if a name could lead out of a folder or disguise itself, or two files would be the same one
            on some file system.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1
    collection: Annotated[str, Field(pattern=_COLLECTION.pattern)]
    contributor: Annotated[str, AfterValidator(_checked_contributor)]
    files: tuple[UploadedFile, ...] = Field(min_length=1, max_length=MOST_FILES)

    @model_validator(mode="after")
    def _each_file_once(self) -> Upload:
        seen: dict[str, str] = {}
        for file in self.files:
            folded = file.name.casefold()
            if folded in seen:
                raise ValueError(f"{seen[folded]!r} and {file.name!r} are one file where case does not count")
            seen[folded] = file.name
        return self

    @property
    def digest(self) -> str:
        """Names the upload: the same files of the same contributor, in whatever order, are the same upload."""
        content = self.model_dump(mode="json")
        content["files"].sort(key=lambda file: file["name"])
        return digest_of("upload", content)

    @property
    def folder(self) -> str:
        """The prefix of its keys."""
        return f"{contributor_folder(self.collection, self.contributor)}/{self.digest}"

    def key(self, file: UploadedFile) -> str:
        """Where a file's bytes are."""
        return f"{self.folder}/{FILES}/{file.sha256}"

    def read(self, store: Store, file: UploadedFile) -> bytes:
        """A file's bytes, checked.

        Raises:
            FileNotFoundError, StoreError: if it is gone, or not what the manifest says.
        """
        return store.read(self.key(file), file.sha256, limit=file.size)


@dataclass
class Uploads:
    """What lies in one collection. `complete` is sorted by contributor; the other two are for people: prefix -> reason."""

    complete: list[Upload] = field(default_factory=list)
    unfinished: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def contributor_folder(collection: str, contributor: str) -> str:
    """The prefix that one contributor's credentials need to write below, and nobody else's."""
    return f"uploads/{collection}/{key_part(contributor)}"


def find_uploads(store: Store, collection: str = COLLECTION) -> Uploads:
    """Every complete upload of a collection, and what there is besides. One listing, and one read for each manifest.

    Raises:
        ValueError: if `collection` is not the name of one.
        StoreError: if the store does not answer.
    """
    if not _COLLECTION.fullmatch(collection):
        raise ValueError(f"{collection[:80]!r} is no collection: lower-case letters, digits and dashes only")
    listed = store.entries(f"uploads/{collection}")
    found = Uploads()
    files: Counter[str] = Counter()  # of each upload's folder; counted once, for there may be very many of both
    for key in listed:
        parts = key.split("/")
        if len(parts) >= 5:  # uploads/<collection>/<contributor>/<upload>/…
            files["/".join(parts[:4])] += parts[4] == FILES and len(parts) > 5
    for folder in sorted(files):
        if f"{folder}/{COMPLETE}" not in listed:
            found.unfinished[folder] = f"{files[folder]} files are there, and no {COMPLETE}"
            continue
        try:
            found.complete.append(_believed(store, folder, listed))
        except (ValueError, StoreError) as error:
            if isinstance(error, OSError):
                raise  # the store does not answer: no fault of the upload
            found.refused[folder] = str(error)
    found.complete.sort(key=lambda upload: (upload.contributor, upload.digest))
    return found


def _believed(store: Store, folder: str, listed: dict[str, Entry]) -> Upload:
    data = store.read(f"{folder}/{COMPLETE}", limit=LARGEST_MANIFEST)
    try:
        _check_outline(data)
        upload = Upload.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]  # may hold anything, so: by repr
        raise ValueError(f"{COMPLETE} is not the manifest of an upload: {where!r}: {first['msg']}") from None
    if upload.folder != folder:
        raise ValueError(
            f"{COMPLETE} is the manifest of another upload or contributor ({upload.contributor}): {upload.folder}"
        )
    for file in upload.files:
        entry = listed.get(upload.key(file))
        if entry is None or entry.size != file.size:
            raise ValueError(f"{file.name!r} is {'not there' if entry is None else 'of another size'}")
    return upload


def _check_outline(data: bytes) -> None:
    """Entries by name and number alone. Whatever a full check does not like becomes an error of its own, hundreds of bytes
    each: of millions of strange entries that would be gigabytes, for one manifest that is refused anyway.

    Raises:
        ValueError: if it is no object, or one with strange entries or too many files.
    """
    try:
        found = from_json(data, cache_strings="keys")
    except ValueError as error:
        raise ValueError(f"{COMPLETE} is not the manifest of an upload: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{COMPLETE} is not the manifest of an upload: it is no object")
    for name, value in found.items():
        if name not in Upload.model_fields or (name != "files" and not isinstance(value, str | int)):
            raise ValueError(f"{COMPLETE} is not the manifest of an upload: its entry {name[:80]!r}")
    files = found.get("files")
    if not isinstance(files, list) or len(files) > MOST_FILES:
        count = f"{len(files):,}" if isinstance(files, list) else "no list of"
        raise ValueError(f"{COMPLETE} is not the manifest of an upload: {count} files; {MOST_FILES:,} is the most")
    for number, file in enumerate(files):
        if not isinstance(file, dict) or file.keys() != UploadedFile.model_fields.keys():
            said = f"file {number} has other entries than {', '.join(UploadedFile.model_fields)}"
            raise ValueError(f"{COMPLETE} is not the manifest of an upload: {said}")


def main() -> int:
    """List the uploads of a collection; 0 if none had to be refused."""
    parser = argparse.ArgumentParser(prog="python -m infra.uploads", description="Lists what contributors handed in.")
    parser.add_argument("--at", metavar="URL", help="the store; CREDIT_STORE if not given")
    parser.add_argument("--collection", default=COLLECTION, help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        store = Store(arguments.at or store_url())
        found = find_uploads(store, arguments.collection)
    except (ValueError, StoreError) as error:
        print(error, file=sys.stderr)
        return 2
    for upload in found.complete:
        size = sum(file.size for file in upload.files)
        print(f"complete    {upload.contributor}: {len(upload.files)} files, {size:,} bytes  {upload.folder}")
    for folder, reason in found.unfinished.items():
        print(f"unfinished  {folder}: {reason}")
    for folder, reason in found.refused.items():
        print(f"refused     {folder}: {reason}")
    if not (found.complete or found.unfinished or found.refused):
        there = sorted({key.split("/")[1] for key in store.list("uploads")})
        print(f"there is nothing in the collection {arguments.collection!r}; there are: {', '.join(there) or 'none'}")
    return 1 if found.refused else 0


if __name__ == "__main__":
    sys.exit(main())
