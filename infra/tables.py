"""Parquet tables that others may have written: looked at before they are unfolded.

A file of a kilobyte can say that a text of 10 MB stands in each of its billion rows. So rows, cells and the bytes of all
texts are counted first, while equal texts are still kept once, and a table that would unfold to too much is refused.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST_ROWS = 5_000_000
MOST_CELLS = 100_000_000  # of one column, those within lists counted: 5,000 coalitions of 20,000 members
MOST_TEXT = 2**30  # bytes of all texts together
LONGEST_FIXED = 64  # bytes of a number: whatever claims more is none
_AT_ONCE = 65_536  # rows that are looked at together


class TableError(ValueError):
    """It is no such table, or unfolds to more than is read."""


def read_parquet(
    data: bytes,
    columns: Iterable[str],
    *,
    optional: Collection[str] = (),
    rows: int = MOST_ROWS,
    text: int = MOST_TEXT,
) -> tuple[list[str], pa.Table]:
    """The names of all columns of a table, and those of `columns` that it has.

    Args:
        optional: those of `columns` that are left out of the table, like any that it lacks, if they hold structures.
        rows: most rows that it may have. text: most bytes of all texts in these columns.

    Raises:
        TableError: if it is no parquet table, if one of these columns is there twice or holds what is neither text, number
            nor a list of such, or if it unfolds to too much.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        names = list(file.schema_arrow.names)
        wanted = [name for name in dict.fromkeys(columns) if name in names]
        for name in wanted:
            if names.count(name) > 1:
                raise TableError(f"it has the column {name!r} {names.count(name)} times")
        schema = file.schema_arrow
        wanted = [name for name in wanted if name not in optional or not _holds_structures(schema.field(name).type)]
        texts = _checked(file.metadata, schema, wanted, rows)
        _check_texts(pq.ParquetFile(io.BytesIO(data), read_dictionary=texts), wanted, text)
        return names, file.read(columns=wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # OSError: of a footer that is damaged
        raise TableError(f"it is no parquet table that can be read: {error}") from error


def _checked(metadata: pq.FileMetaData, schema: pa.Schema, wanted: list[str], rows: int) -> list[str]:
    """Paths of the columns with texts, once the file's own account of itself has been found reasonable."""
    if metadata.num_rows > rows:
        raise TableError(f"it has {metadata.num_rows:,} rows; {rows:,} is the most")
    for name in wanted:
        if _holds_structures(schema.field(name).type):
            raise TableError(
                f"its column {name!r} holds {schema.field(name).type}: texts, numbers or lists of them only"
            )
    texts: list[str] = []
    for number in range(metadata.num_columns):
        column = metadata.schema.column(number)
        if column.path.split(".")[0] not in wanted:
            continue
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY" and column.length > LONGEST_FIXED:
            raise TableError(f"its column {column.path!r} has cells of {column.length:,} bytes")
        cells = sum(metadata.row_group(i).column(number).num_values for i in range(metadata.num_row_groups))
        if cells > MOST_CELLS:
            raise TableError(f"its column {column.path!r} has {cells:,} cells; {MOST_CELLS:,} is the most")
        if column.physical_type == "BYTE_ARRAY":
            texts.append(column.path)
    return texts


def _holds_structures(kind: pa.DataType) -> bool:
    """Whether it is more than texts, numbers or lists of such; lists of a fixed size are more."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_nested(kind))


def _check_texts(file: pq.ParquetFile, wanted: list[str], most: int) -> None:
    """Count the bytes of all texts; `file` keeps equal ones once."""
    total = 0
    for batch in file.iter_batches(_AT_ONCE, columns=wanted):
        for cells in batch.columns:
            total += _unfolded(cells)
            if total > most:
                raise TableError(f"its texts unfold to more than {most:,} bytes")


def _unfolded(cells: pa.Array) -> int:
    while pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type):
        cells = cells.flatten()
    if pa.types.is_dictionary(cells.type):
        lengths = pc.binary_length(cells.dictionary).cast(pa.int64())
        return int(pc.sum(pc.take(lengths, cells.indices)).as_py() or 0)
    return int(cells.nbytes)
