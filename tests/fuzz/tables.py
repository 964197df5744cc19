"""Tables and manifests that nobody would write: rows of hostile cells, as every kind of table, changed in their bytes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st

from infra.digest import canonical_json, sha256
from tests.fuzz.images import changed
from tests.hostile.data import ALLOWED, PATHS, PROMPTS, REFUSED

COLUMNS = ("file_name", "contributor", "date", "prompt")
ON_DISK = tuple(f"{n}.png" for n in range(8))
_TEXTS = st.one_of(
    st.sampled_from((*ALLOWED, *REFUSED, *PROMPTS, "alice", "bob", "alice:0.5;bob:0.5", "a:nan", "", " ", "a:1;a:1")),
    st.text(max_size=12),
)
_DATES = st.one_of(
    st.sampled_from(
        ("", "2024", "2024-05", "2024-05-01T10:00:00+02:00", "0001-01-01T00:00+14:00", "9999-12-31", "yesterday")
    ),
    _TEXTS,
)
_ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(st.integers(), max_size=2),
    st.just({"a": 1}),
    st.just(10**30),
)
_FILES = st.one_of(
    st.sampled_from(ON_DISK), st.sampled_from(ON_DISK), st.sampled_from((*PATHS, "./0.png", "0.PNG")), _TEXTS
)
Rows = list[dict[str, Any]]


def rows(odd: bool) -> st.SearchStrategy[Rows]:
    """Rows of a table; odd: with other types than texts, and cells that are missing."""
    cells: dict[str, st.SearchStrategy[Any]]
    cells = {"file_name": _FILES, "contributor": _TEXTS, "date": _DATES, "prompt": _TEXTS}
    if odd:
        cells = {name: st.one_of(strategy, strategy, strategy, _ODD) for name, strategy in cells.items()}
        return st.lists(st.fixed_dictionaries({}, optional=cells) | st.fixed_dictionaries(cells), max_size=14)
    return st.lists(st.fixed_dictionaries(cells), max_size=14)


def as_csv(found: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([[row.get(column, "") for column in COLUMNS] for row in found])
    return text.getvalue().encode("utf-8", "surrogatepass")


def as_jsonl(found: Rows) -> bytes:
    return "\n".join(json.dumps(row) for row in found).encode()


def as_parquet(found: Rows, again: str | None = None) -> bytes:
    """Cells of a column that are not of one kind are texts. again: a column that is there twice."""
    columns = {}
    for name in COLUMNS:
        cells = [row.get(name) for row in found]
        try:
            columns[name] = pa.array(cells)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            columns[name] = pa.array([None if c is None else str(c).encode("utf-8", "replace").decode() for c in cells])
    buffer = io.BytesIO()
    names = [*columns, again] if again else list(columns)
    pyarrow.parquet.write_table(pa.table([columns[name] for name in names], names=names), buffer)
    return buffer.getvalue()


WRITERS = {"metadata.csv": as_csv, "metadata.jsonl": as_jsonl, "metadata.parquet": as_parquet}


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes, bytes | None]:
    """A table's name, its bytes, and its bytes with the rows in another order; None if the bytes themselves were changed."""
    name = draw(st.sampled_from(sorted(WRITERS)))
    found = draw(rows(odd=name != "metadata.csv"))
    if name == "metadata.parquet" and draw(st.integers(0, 7)) == 7:
        again = draw(st.sampled_from(COLUMNS))
        return name, as_parquet(found, again), as_parquet(draw(st.permutations(found)), again)
    data = WRITERS[name](found)
    if draw(st.booleans()):
        return name, draw(changed(data)), None
    return name, data, WRITERS[name](draw(st.permutations(found)))


@st.composite
def manifests(draw: st.DrawFn, contributor: str, content: bytes) -> bytes:
    """complete.json of an upload by `contributor` with one file of this content, changed in its entries or in its bytes."""
    file = {"name": "a.png", "sha256": sha256(content), "size": len(content)}
    made: dict[str, Any] = {"schema_version": 1, "collection": "spring", "contributor": contributor, "files": [file]}
    value = st.one_of(_TEXTS, _ODD, st.just(file["sha256"]), st.integers(0, 2**40))
    for _ in range(draw(st.integers(0, 3))):
        which = draw(st.sampled_from(("entry", "file", "more", "new", "drop")))
        if which == "entry":
            made[draw(st.sampled_from(sorted(made)))] = draw(value)
        elif which == "file":
            made["files"] = [{**file, draw(st.sampled_from(("name", "sha256", "size"))): draw(value)}]
        elif which == "more":
            made["files"] = [{**file, "name": name} for name in draw(st.lists(_FILES, min_size=1, max_size=4))]
        elif which == "new":
            made[draw(_TEXTS)] = draw(value)
        elif made:
            made.pop(draw(st.sampled_from(sorted(made))))
        if not made:
            break
    try:
        data = canonical_json(made)
    except (ValueError, TypeError):
        data = json.dumps(made).encode()
    return draw(changed(data)) if draw(st.booleans()) else data
