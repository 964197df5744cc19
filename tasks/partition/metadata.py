"""Reads the rows of metadata.csv, metadata.jsonl or metadata.parquet as they are, without judging them yet.

Damage to the table as a whole (two tables, not UTF-8, a missing column) is a DataError; damage to one row is a
Problem, and the row is left out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from infra.tables import TableError, read_parquet
from tasks.partition.folder import METADATA, OPENMOJI_STAMP
from tasks.partition.names import closest
from tasks.partition.types import DataError, Files, Problem
from tasks.study import DataSpec

FILE_NAME = "file_name"
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
    data = folder.read(name)
    try:
        if name.endswith(".parquet"):
            wanted = {FILE_NAME, spec.contributor_column, spec.date_column} | (
                {spec.prompt_column} if prompts else set()
            )
            columns, found = _parquet(data, wanted)
        else:
            text = data.decode("utf-8-sig")
            columns, found = _csv(text) if name.endswith(".csv") else _jsonl(text)
        numbered = list(found)
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except (csv.Error, TableError) as error:
        raise DataError(f"{name} cannot be read: {error}") from error
    problems: list[Problem] = []
    kept: list[tuple[str, Cells]] = []
    unit = "row" if name.endswith(".parquet") else "line"
    for number, cells in numbered:
        where = f"{name} {unit} {number}"
        if isinstance(cells, str):
            problems.append(Problem(where, "bad-row", f"{where} {cells}", "left out"))
        else:
            kept.append((where, cells))
            columns += [column for column in cells if column not in columns]  # JSON rows need not be alike
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
            near = closest(column, columns)
            hint = f"; closest: {', '.join(near)}" if near else ""
            raise DataError(f"{name} has no column {column!r} ({reason}); its columns are: {columns}{hint}")
        if columns.count(column) > 1:
            raise DataError(f"{name} has the column {column!r} {columns.count(column)} times")


Numbered = Iterator[tuple[int, Cells | str]]  # a string is what is wrong with the row


def _csv(text: str) -> tuple[list[str], Numbered]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = [column.strip() for column in next(reader, [])]

    def rows() -> Numbered:
        for cells in reader:
            if len(cells) > len(header):
                # An unquoted comma moves all that follows by one column: nothing in the row can be trusted.
                yield reader.line_num, f"has {len(cells)} cells under {len(header)} columns; quote cells with commas"
            elif cells:
                yield reader.line_num, dict(zip(header, cells, strict=False))

    return header, rows()


def _jsonl(text: str) -> tuple[list[str], Numbered]:
    def rows() -> Numbered:
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"is not JSON ({error})"
                continue
            yield number, cells if isinstance(cells, dict) else "is not a JSON object"

    return [], rows()


def _parquet(data: bytes, wanted: set[str]) -> tuple[list[str], Numbered]:
    # Only what is used: such tables often carry the images' own bytes in another column.
    columns, table = read_parquet(data, sorted(wanted))
    return columns, ((number, cells) for number, cells in enumerate(table.to_pylist(), start=1))
