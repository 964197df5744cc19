"""Tables of others: what is read is what stands there, and what would unfold to too much is refused before it does."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tables import TableError, read_parquet
from tests.security.planted import little_memory, table


def written(columns: dict[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.text(max_size=20),
            st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.booleans(),
        ),
        max_size=8,
    ),
    compression=st.sampled_from(["none", "snappy", "zstd"]),
    dictionary=st.booleans(),
)
def test_what_is_read_is_what_was_written(rows: list[tuple[object, ...]], compression: str, dictionary: bool) -> None:
    kinds = {"a": pa.string(), "b": pa.list_(pa.string()), "c": pa.int64(), "d": pa.float64(), "e": pa.bool_()}
    columns = {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(kinds.items())}
    data = written(columns, compression=compression, use_dictionary=dictionary)
    names, found = read_parquet(data, ["e", "a", "b", "none", "a", "c", "d"])
    assert names == list(kinds) and found.select(list(kinds)).equals(pa.table(columns))


def test_texts_are_counted_as_they_unfold_to_the_byte() -> None:
    data = written({"a": ["ä" * 10] * 100, "b": [["x", "yz"]] * 100})
    assert read_parquet(data, ["a", "b"], text=2300)[1].num_rows == 100
    with pytest.raises(TableError, match="unfold to more than 2,299 bytes"):
        read_parquet(data, ["a", "b"], text=2299)
    assert read_parquet(data, ["b"], text=300)[1].num_rows == 100  # what is not asked for is not looked at


@pytest.mark.parametrize(("rows", "text"), [(1_000_000, 1_000_000), (6_000_000, 0), (200_000, 10_000)])
def test_a_small_file_that_unfolds_to_gigabytes_is_refused(rows: int, text: int) -> None:
    data = table(rows, text)
    assert len(data) < 2**20
    with little_memory(), pytest.raises(TableError, match=r"is the most|unfold"):
        read_parquet(data, ["role", "members"])


def test_lists_with_many_cells_in_few_rows_are_refused() -> None:
    cells = pa.DictionaryArray.from_arrays(pa.nulls(0, pa.int8()), pa.array(["x"]))
    many = pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), cells)
    assert read_parquet(written({"a": many}), ["a"])[1].num_rows == 1
    with pytest.raises(TableError, match="101,000,000 cells"):
        read_parquet(_long_list(101_000_000), ["a"])


def _long_list(cells: int) -> bytes:
    import numpy as np

    return written({"a": pa.ListArray.from_arrays(pa.array([0, cells], pa.int32()), pa.array(np.zeros(cells, bool)))})


@pytest.mark.parametrize(
    "column",
    [pa.array([{"x": 1}]), pa.array([[{"x": "y"}]]), pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string()))],
)
def test_structures_are_refused_by_name_where_they_are_asked_for(column: pa.Array) -> None:
    data = written({"a": column, "b": ["fine"]})
    with pytest.raises(TableError, match="column 'a' holds"):
        read_parquet(data, ["a", "b"])
    assert read_parquet(data, ["b"])[1].to_pydict() == {"b": ["fine"]}


def test_optional_structures_are_left_out() -> None:
    data = written({"a": pa.array([{"x": 1}]), "b": ["fine"]})
    names, table = read_parquet(data, ["a", "b"], optional=["a", "b"])
    assert names == ["a", "b"] and table.to_pydict() == {"b": ["fine"]}


def test_a_column_that_is_there_twice_is_refused_by_name_where_it_is_asked_for() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table([pa.array(["x"])] * 3, names=["a", "b", "a"]), file)
    with pytest.raises(TableError, match="it has the column 'a' 2 times"):
        read_parquet(file.getvalue(), ["b", "a"])
    assert read_parquet(file.getvalue(), ["b"])[1].to_pydict() == {"b": ["x"]}


def test_cells_of_a_fixed_giant_size_are_refused() -> None:
    data = written({"a": pa.array([b"x" * 1000] * 10, pa.binary(1000))})
    with pytest.raises(TableError, match="cells of 1,000 bytes"):
        read_parquet(data, ["a"])


@given(st.binary(max_size=200) | st.integers(0, 10_000).map(lambda n: written({"a": ["x" * 50] * 20})[: n % 500]))
def test_what_is_no_table_is_refused_as_one(data: bytes) -> None:
    with pytest.raises(TableError, match="no parquet table"):
        read_parquet(data, ["a"])
