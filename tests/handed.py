"""The small data set as its designers would hand it in: one upload each, by the code of the upload command."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from infra.store import Store
from infra.upload import hand_in, prepare
from infra.uploads import Upload


def folder_of(designer: str, data: Path, scratch: Path) -> Path:
    """A folder with the images of one contributor of `data`, and a table of their dates."""
    with (data / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["contributor"] == designer]
    folder = scratch / f"of {designer}"
    for row in rows:
        target = folder / row["file_name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / row["file_name"], target)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["file_name", "date"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def handed_in(designer: str, data: Path, scratch: Path, store: Store, collection: str = "spring") -> Upload:
    """Hand in what one contributor of `data` has."""
    upload, paths = prepare(folder_of(designer, data, scratch), designer, collection)
    hand_in(upload, paths, store)
    return upload
