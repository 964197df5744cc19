"""Reads the rows of metadata.csv, metadata.jsonl or metadata.parquet as they are, without judging them yet.

Damage to the table as a whole (two tables, not UTF-8, a missing column) is a DataError; damage to one row is a
Problem, and the row is left out. A small table may stand for a huge one (parquet says "the same again" in a few bytes), so
rows, cells and columns are bounded before they are unfolded, and only the columns that are used are kept.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from infra.tables import TableError, read_parquet
from tasks.partition.folder import METADATA, OPENMOJI_STAMP
from tasks.partition.images import Refused, unquoted
from tasks.partition.names import LONGEST, closest, quoted
from tasks.partition.types import DataError, Files, Problem
from tasks.study import DataSpec

FILE_NAME = "file_name"
LARGEST_TABLE = 2**30  # bytes
LEAST_ROWS = 1_000_000  # that a table may have; more if there are more files, for each row names one
_TEXT, _TEXT_PER_FILE = 2**26, 2**11  # bytes of all texts in a parquet file that are used, unfolded
_COLUMNS_SHOWN = 50
_COLUMNS_COMPARED = 1_000
_ROWS_AT_ONCE = 2**14
Cells = dict[str, object]


@dataclass(frozen=True)
class Row:
    """One row as found: any type may stand in any cell."""

    where: str  # such as "metadata.csv line 7"
    file_name: object
    owners: object
    date: object
    prompt: object  # None where prompts are not asked for


def find_metadata(folder: Files) -> str | None:
    """Name of the folder's metadata file, None if there is none; DataError if there are several or it is a bad link."""
    names = [folder.prefix + name for name in METADATA]
    for name in names:
        if name in folder.refused:
            raise DataError(f"{folder.url}: {folder.refused[name].reason}")
    found = [name for name in names if name in folder.files]
    if len(found) > 1:
        raise DataError(f"{folder.url}: there are several metadata files ({', '.join(found)}); keep one")
    return found[0] if found else None


def read_rows(
    folder: Files, name: str, spec: DataSpec, *, prompts: bool, owner_known: bool = False
) -> tuple[list[Row], list[Problem]]:
    """All rows of the metadata file `name`; DataError when the table cannot be read or lacks a column.

    `prompts`: whether the images need them. `owner_known` for tables that need file names only, and perhaps prompts: whose
    the images are is said elsewhere.
    """
    if folder.files[name] > LARGEST_TABLE:
        raise DataError(f"{name} has {folder.files[name]:,} bytes; {LARGEST_TABLE:,} is the most")
    try:
        data = folder.read(name)
    except Refused as refused:
        raise DataError(str(refused)) from refused
    wanted = [FILE_NAME, spec.contributor_column, spec.date_column] + [spec.prompt_column] * prompts
    optional = {spec.date_column} - {FILE_NAME, spec.contributor_column, spec.prompt_column}
    problems: list[Problem] = []
    most = max(LEAST_ROWS, 2 * len(folder.files))
    try:
        if name.endswith(".parquet"):
            text_allowed = _TEXT + _TEXT_PER_FILE * len(folder.files)
            columns, ignored, found = _parquet(data, wanted, optional, most, text_allowed)
            problems += [
                Problem(name, "bad-date", f"{name}: the column {column!r} holds no dates; the images have none", "kept")
                for column in ignored
            ]
        else:
            text = data.decode("utf-8-sig")
            columns, found = _csv(text, wanted) if name.endswith(".csv") else _jsonl(text, wanted)
        numbered = list(islice(found, most + 1))
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except (csv.Error, TableError) as error:
        raise DataError(f"{name} cannot be read: {unquoted(error)}") from error
    if len(numbered) > most:
        raise DataError(
            f"{name} has more than {most:,} rows, for {len(folder.files):,} files; keep a row for each file"
        )
    kept: list[tuple[str, Cells]] = []
    unit = "row" if name.endswith(".parquet") else "line"
    for number, cells in numbered:
        where = f"{name} {unit} {number}"
        if isinstance(cells, str):
            problems.append(Problem(where, "bad-row", f"{where} {cells}", "left out"))
        else:
            kept.append((where, cells))
    try:
        _check_columns(name, columns, spec, prompts, owner_known)
    except DataError as error:
        if prompts and OPENMOJI_STAMP in folder.files:
            made = f"an earlier version made this folder; again: python -m tasks.partition.openmoji --out {folder.url}"
            raise DataError(f"{error}; {made}") from None
        raise
    rows = [
        Row(
            where,
            cells.get(FILE_NAME),
            cells.get(spec.contributor_column),
            cells.get(spec.date_column),
            cells.get(spec.prompt_column) if prompts else None,
        )
        for where, cells in kept
    ]
    return rows, problems


def _check_columns(name: str, columns: list[str], spec: DataSpec, prompts: bool, owner_known: bool) -> None:
    wanted = {FILE_NAME: "every table needs it", spec.contributor_column: "data.contributor_column names it"}
    if owner_known:
        for column in {spec.contributor_column, spec.date_column} - set(columns):
            wanted.pop(column, None)
    elif spec.date_column != type(spec).model_fields["date_column"].default:
        wanted[spec.date_column] = "data.date_column names it"  # asked for by name, so a typo must not pass
    if prompts:
        wanted[spec.prompt_column] = "data.prompt_column names it, and the model takes prompts"
    for column, reason in wanted.items():
        if column not in columns:
            near = closest(column, [c for c in columns[:_COLUMNS_COMPARED] if len(c) <= LONGEST and c.isprintable()])
            hint = f"; closest: {', '.join(near)}" if near else ""
            there = ", ".join(map(quoted, columns[:_COLUMNS_SHOWN]))
            more = f" and {len(columns) - _COLUMNS_SHOWN:,} more" if len(columns) > _COLUMNS_SHOWN else ""
            raise DataError(f"{name} has no column {column!r} ({reason}); its columns are: [{there}]{more}{hint}")
        if columns.count(column) > 1:
            raise DataError(f"{name} has the column {column!r} {columns.count(column)} times")


Numbered = Iterator[tuple[int, Cells | str]]  # a string is what is wrong with the row


def _csv(text: str, wanted: Collection[str]) -> tuple[list[str], Numbered]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [column.strip() for column in next(reader, [])]
    places = [(place, column) for place, column in enumerate(header) if column in wanted]

    def rows() -> Numbered:
        for cells in reader:
            if len(cells) > len(header):
                # An unquoted comma moves all that follows by one column: nothing in the row can be trusted.
                yield reader.line_num, f"has {len(cells)} cells under {len(header)} columns; quote cells with commas"
            elif cells:
                yield reader.line_num, {column: cells[place] for place, column in places if place < len(cells)}

    return header, rows()


def _jsonl(text: str, wanted: Collection[str]) -> tuple[list[str], Numbered]:
    columns: list[str] = []  # of all rows, for they need not be alike; grows while they are read
    known: set[str] = set()

    def rows() -> Numbered:
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"is not JSON ({unquoted(error)})"
                continue
            if not isinstance(cells, dict):
                yield number, "is not a JSON object"
                continue
            for column in cells:
                if column not in known and (len(known) < _COLUMNS_COMPARED or column in wanted):
                    known.add(column)
                    columns.append(column)
            yield number, {column: cells[column] for column in wanted if column in cells}

    return columns, rows()


def _parquet(
    data: bytes, wanted: Collection[str], optional: Collection[str], rows: int, text: int
) -> tuple[list[str], list[str], Numbered]:
    """All columns, those of `optional` that are left out, and the rows."""
    # Only what is used: such tables often carry the images' own bytes in another column.
    columns, table = read_parquet(data, wanted, optional=optional, rows=rows, text=text)
    ignored = sorted(set(optional) & set(columns) - set(table.column_names))

    def unfolded() -> Numbered:
        number = 0
        for batch in table.to_batches(_ROWS_AT_ONCE):
            try:
                listed = batch.to_pylist()
            except (UnicodeDecodeError, MemoryError):
                raise
            except Exception as error:  # such as a date of the year 300,000, which Python has no word for
                raise TableError(f"rows from {number + 1} on: {error}") from error
            for cells in listed:
                number += 1
                yield number, cells

    return columns, ignored, unfolded()
