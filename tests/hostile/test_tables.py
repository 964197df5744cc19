"""Tables and manifests that stand for more than they are: bounded before they are unfolded, and no stranger's doing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from infra.digest import sha256
from infra.store import Store
from infra.upload import hand_in, prepare
from infra.uploads import MOST_FILES, Upload
from tasks.partition import DataError, partition
from tasks.partition.claims import MOST_PROBLEMS
from tasks.partition.metadata import LEAST_ROWS
from tests.hostile.bytes import picture_of
from tests.hostile.measured import cost
from tests.partition.conftest import DataFolder, folder, problems_of
from tests.partition.test_uploaded import owned, spec

__all__ = ["folder"]  # a fixture

_READ = """
from tasks.partition import DataError, partition
from tasks.study import DataSpec

def do():
    try:
        found = partition(DataSpec(url=sys.argv[1], minimum_images=1, small_contributors="keep"), 8)
    except DataError as error:
        return ["DataError", str(error)[:300], len(str(error))]
    return ["used", len(found.images), len(found.problems)]

measured(do)
"""


def parquet(**columns: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def columns(*cells: tuple[str, list[str]]) -> bytes:
    """With names that may come again."""
    buffer = io.BytesIO()
    table = pa.table([pa.array(values) for _, values in cells], names=[name for name, _ in cells])
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def repeated(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, type=pa.int32()), pa.array([text]))


TABLES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "rows of nothing": ("parquet", lambda: parquet(file_name=repeated("a", 5_000_000), contributor=repeated("b", 5_000_000)),
                        "rows"),
    "one text in many cells": ("parquet", lambda: parquet(file_name=repeated("x" * 10_000_000, 900),
                                                          contributor=repeated("b", 900)), "texts"),
    "rows of CSV": ("csv", lambda: b"file_name,contributor\n" + b"a,b\n" * (LEAST_ROWS + 10), "more than"),
    "a million columns": ("csv", lambda: b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n", "no column 'file_name'"),
    "a column of megabytes": ("csv", lambda: b"file_nam" + b"e" * 100_000 + b",contributor\n", "no column 'file_name'"),
    "keys without end": ("jsonl", lambda: b"\n".join(
        json.dumps({f"k{row}-{i}": 1 for i in range(1000)}).encode() for row in range(1000)), "no column 'file_name'"),
    "deep JSON": ("jsonl", lambda: b"[" * 1_000_000, "no column 'file_name'"),
    "one long name": ("jsonl", lambda: json.dumps(
        {"file_name": "a" * 20_000_000, "contributor": "b" * 20_000_000, "date": "c" * 20_000_000}).encode(),
        "no contributor has training images"),
    "dates that Python has no word for": ("parquet", lambda: parquet(
        file_name=pa.array(["a"]), contributor=pa.array(["b"]), date=pa.array([10**16], type=pa.timestamp("ms"))),
        "rows from 1"),
    "file names twice": ("parquet", lambda: columns(*[("file_name", ["a.png"])] * 2), "'file_name' 2 times"),
    "owners twice": ("parquet", lambda: columns(("file_name", ["a.png"]), *[("contributor", ["Alice"])] * 3),
                     "'contributor' 3 times"),
    "dates twice": ("parquet", lambda: columns(
        ("file_name", ["a.png"]), ("contributor", ["Mallory"]), *[("date", ["2024"])] * 2), "'date' 2 times"),
    "owners that are structures": ("parquet", lambda: parquet(
        file_name=pa.array(["a.png"]), contributor=pa.array([{"a": 1}])), "column 'contributor' holds"),
    "deep columns": ("parquet", lambda: parquet(contributor=_nested(150)), "cannot be read"),
}  # fmt: skip


def _nested(depth: int) -> pa.Array:
    kind: pa.DataType = pa.int32()
    value: object = 1
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    return pa.array([value], type=kind)


@pytest.mark.parametrize("what", TABLES)
def test_a_table_that_unfolds_to_too_much_is_one_short_error(what: str, tmp_path: Path) -> None:
    ending, make, said = TABLES[what]
    data = tmp_path / "data"
    data.mkdir()
    (data / f"metadata.{ending}").write_bytes(make())
    (data / "a.png").write_bytes(picture_of(1, 8))
    found = cost(_READ, data)
    assert found.said[0] == "DataError" and said in found.said[1], found
    assert found.said[2] < 100_000, found  # characters of the message
    assert found.megabytes < 1_200 and found.seconds < 120, found


def test_a_date_before_time_began_elsewhere_is_said_and_the_image_kept(folder: DataFolder) -> None:
    names = [row["file_name"] for row in folder.rows]
    owners = [row["contributor"] for row in folder.rows]
    dates = pa.array(
        [-62_135_596_800_000] * 12, type=pa.timestamp("ms", tz="+14:00")
    )  # midnight of the year 1 in London
    (folder.path / "metadata.parquet").write_bytes(
        parquet(file_name=pa.array(names), contributor=pa.array(owners), date=dates)
    )
    parts = partition(folder.spec(), 8)
    assert len(parts.images) == 12


@pytest.mark.parametrize(
    "dates",
    [pa.array([{"year": 2024}] * 12), pa.array([[2024, 5]] * 12, pa.list_(pa.int64(), 2))],
    ids=["structures", "lists of two"],
)
def test_dates_that_are_structures_are_no_dates_and_the_images_count(dates: pa.Array, folder: DataFolder) -> None:
    owners = pa.array([row["contributor"] for row in folder.rows])
    (folder.path / "metadata.parquet").write_bytes(
        parquet(file_name=pa.array([row["file_name"] for row in folder.rows]), contributor=owners, date=dates)
    )
    parts = partition(folder.spec(), 8)
    assert len(parts.images) == 12 and all(image.date is None for image in parts.images)
    (problem,) = problems_of(parts, "bad-date")
    assert "column 'date' holds no dates" in problem.reason and problem.action == "kept"


# Uploads: what one contributor does costs nobody else anything


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """With two honest uploads."""
    url = str(tmp_path / "store")
    monkeypatch.setenv("CREDIT_STORE", url)
    for first, name in enumerate(("Alice", "Bob")):
        give(Store(url), tmp_path / name, name, {f"{n}.png": picture_of(100 * first + n, 8) for n in range(6)})
    return Store(url)


def give(store: Store, scratch: Path, name: str, files: dict[str, bytes]) -> Upload:
    scratch.mkdir()
    for file, content in files.items():
        (scratch / file).write_bytes(content)
    upload, paths = prepare(scratch, name, "spring")
    hand_in(upload, paths, store)
    return upload


@pytest.mark.parametrize("what", TABLES)
def test_a_hostile_table_in_an_upload_stands_in_nobody_elses_way(what: str, store: Store, tmp_path: Path) -> None:
    ending, make, _ = TABLES[what]
    give(store, tmp_path / "evil", "Mallory", {"a.png": picture_of(900, 8), f"metadata.{ending}": make()})
    parts = partition(spec(), 8)
    assert owned(parts) == {"Alice": 6, "Bob": 6}
    assert all(len(problem.reason) < 5_000 and len(problem.subject) < 5_000 for problem in parts.problems)
    assert any("Mallory" in problem.reason or problem.subject == "Mallory" for problem in parts.problems)


def test_a_hundred_thousand_bad_rows_are_told_together(store: Store, tmp_path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file_name", "contributor"])
    writer.writerows([[f"gone{n}.png", "Mallory"] for n in range(100_000)] + [["a.png", "Mallory"]])
    give(store, tmp_path / "evil", "Mallory", {"a.png": picture_of(900, 8), "metadata.csv": text.getvalue().encode()})
    parts = partition(spec(), 8)
    assert owned(parts) == {"Alice": 6, "Bob": 6, "Mallory": 1}
    (problem,) = problems_of(parts, "missing-file")
    assert "100,000 times" in problem.reason and "gone0.png" in problem.reason and problem.action == "left out"
    assert len(parts.problems) < MOST_PROBLEMS


def test_a_long_error_lists_some_problems_and_counts_the_rest(folder: DataFolder) -> None:
    folder.rows = [{"file_name": f"gone{n}.png", "contributor": "alice", "date": ""} for n in range(5_000)]
    with pytest.raises(DataError, match=r"5,?013 problems") as caught:
        folder.partition()
    assert len(caught.value.problems) == 5_013
    assert str(caught.value).count("\n") < 1_100 and "more" in str(caught.value).splitlines()[-1]


_FIND = """
from infra.store import Store
from infra.uploads import find_uploads

store = Store(sys.argv[1])
measured(lambda: [[u.contributor for u in find_uploads(store).complete], find_uploads(store).refused])
"""
_HEAD = '"schema_version":1,"collection":"images","contributor":"Mallory"'


@pytest.mark.parametrize(
    "make",
    [
        lambda: "{" + ",".join(f'"a{i}":1' for i in range(1_000_000)) + "}",
        lambda: "{" + _HEAD + ',"files":[' + ",".join("{}" for _ in range(5_000_000)) + "]}",
        lambda: "{" + _HEAD + ',"files":[{' + ",".join(f'"a{i}":1' for i in range(1_000_000)) + "}]}",
        lambda: "{" + _HEAD + ',"files":[' + ",".join(['{"name":[],"sha256":1,"size":"x"}'] * MOST_FILES) + "]}",
        lambda: '{"contributor":[' + "1," * 20_000_000 + "1]}",
        lambda: "[" + "1," * 20_000_000 + "1]",
        lambda: "[" * 20_000_000,
        lambda: '{"files":' * 1_000_000,
    ],
    ids=["entries", "files", "entries of a file", "wrong files", "a list for a name", "a list", "deep", "deep objects"],
)
def test_a_manifest_of_millions_is_refused_at_little_cost(make: Callable[[], str], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"a")
    hand_in(*prepare(tmp_path / "images", "Good Person"), store)
    evil = f"uploads/images/mallory-{sha256(b'Mallory')[:12]}/{'0' * 64}"
    store.write(f"{evil}/complete.json", make().encode())
    found = cost(_FIND, store.url)
    assert found.said[0] == ["Good Person"]
    assert list(found.said[1]) == [evil] and len(found.said[1][evil]) < 500
    assert found.megabytes < 1_000 and found.seconds < 120, found
