"""What contributors handed in to the study's own store, as data: `data.url: uploads:<collection>`.

Every image of an upload is its contributor's; a table in it may give others a share beside them. Files get the names

    <contributor>/<first 12 digits of the upload>/<the file's own name>

so that equal names in two uploads do not meet. Uploads that are refused or not whole are problems, for people to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.names import key_part
from infra.settings import store_url
from infra.store import Store, StoreError
from infra.uploads import Upload, UploadedFile, find_uploads
from tasks.partition.folder import Folder
from tasks.partition.images import Refused
from tasks.partition.types import DataError, Problem

SCHEME = "uploads:"


def open_data(url: str) -> Folder | Uploaded:
    """What is at `data.url`, listed. Raises DataError if there is nothing; the store's own errors for uploads."""
    if url.startswith(SCHEME):
        return Uploaded.open(url, Store(store_url()))
    return Folder.open(url)


class Handed:
    """One upload, with the same face as a folder. sha256: of each file's bytes, by its name here."""

    def __init__(self, upload: Upload, store: Store) -> None:
        self.url = upload.folder
        self.contributor = upload.contributor
        self.prefix = f"{key_part(upload.contributor)}/{upload.digest[:12]}/"
        self.refused: dict[str, Problem] = {}
        self._upload, self._store = upload, store
        self._files: dict[str, UploadedFile] = {self.prefix + file.name: file for file in upload.files}
        self.files = {name: file.size for name, file in self._files.items()}
        self.sha256 = {name: file.sha256 for name, file in self._files.items()}

    def read(self, name: str) -> bytes:
        """The bytes of a file, checked against its sha256.

        Raises:
            Refused: if they are not what was handed in.
            FileNotFoundError, StoreError: if they are gone, or the store does not answer.
        """
        try:
            return self._upload.read(self._store, self._files[name])
        except StoreError as error:
            if isinstance(error, OSError):
                raise  # the store does not answer, or does not let us
            raise Refused("damaged", f"{name!r} is not what {self.contributor!r} handed in: {error}") from error


@dataclass
class Uploaded:
    """All uploads of a collection. `files` maps the names of all their files to sizes in bytes."""

    url: str
    is_local: bool
    uploads: list[Handed]
    refused: dict[str, Problem]
    files: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._of = {name: upload for upload in self.uploads for name in upload.files}
        self.files = {name: size for upload in self.uploads for name, size in upload.files.items()}

    @classmethod
    def open(cls, url: str, store: Store) -> Uploaded:
        """List a collection.

        Raises:
            DataError: if nobody has handed anything in.
            StoreError: if the store does not answer.
        """
        collection = url.removeprefix(SCHEME)
        try:
            found = find_uploads(store, collection)
        except ValueError as error:
            raise DataError(f"data.url {url!r}: {error}; write uploads:spring, for example") from error
        refused = {}
        for folder, reason in found.refused.items():
            said = f"the upload {folder} is refused: {reason}"
            refused[folder] = Problem(folder, "refused-upload", said, "left out")
        for folder, reason in found.unfinished.items():
            said = f"the upload {folder} is not whole ({reason}); whoever began it starts the same command again"
            refused[folder] = Problem(folder, "unfinished-upload", said, "left out")
        if not found.complete:
            there = sorted({key.split("/")[1] for key in store.list("uploads")} - {collection})
            raise DataError(
                f"data.url {url!r}: nothing was handed in completely for this collection in {store.url}; other collections: "
                f"{', '.join(there) or 'none'}. Hand in with: python -m infra.upload FOLDER --contributor NAME "
                f"--collection {collection}",
                list(refused.values()),
            )
        return cls(url, "://" not in store.url, [Handed(upload, store) for upload in found.complete], refused)

    def read(self, name: str) -> bytes:
        """The bytes of a file; raises as `Handed.read`."""
        return self._of[name].read(name)

    def named(self, name: str) -> list[str]:
        """The files of this name at the top of an upload."""
        return [upload.prefix + name for upload in self.uploads if upload.prefix + name in upload.files]
