"""What somebody with write access to a store could put in the place of what we keep there.

`BYTES` are contents by name; those that are pickles make a marker file when anybody opens them as what they are. `HOLE` is a
file of terabytes that takes no room on a disk.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tests.families.bomb import Bomb

HOLE = 2**43  # bytes


def pickles(marker: Path) -> dict[str, bytes]:
    """A bomb in every wrapping in which Python programs keep pickles."""
    bomb = Bomb(marker)
    checkpoint, array, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": bomb}, checkpoint)
    objects = np.empty(1, dtype=object)
    objects[0] = bomb
    np.save(array, objects, allow_pickle=True)
    np.savez(archive, images=objects)
    envelope = {
        "metadata": {"storage_key": "x", "serializer": {"type": "pickle"}, "prefect_version": "3.8.8"},
        "result": base64.b64encode(pickle.dumps(bomb)).decode(),
    }
    return {
        "pickle": pickle.dumps(bomb),
        "pickle-text": pickle.dumps(bomb, protocol=0),
        "torch-checkpoint": checkpoint.getvalue(),
        "npy-of-objects": array.getvalue(),
        "npz-of-objects": archive.getvalue(),
        "prefect-result": json.dumps(envelope).encode(),
    }


def bombs() -> dict[str, bytes]:
    """Small contents that claim to be large, or are deep."""
    return {
        "nothing": b"",
        "deep-json": b"[" * 1_000_000,
        "deep-json-object": b'{"spec":' * 500_000,
        "long-number": b'{"schema_version":1' + b"0" * 1_000_000 + b"}",
        "not-a-number": b'{"schema_version":NaN,"seconds":Infinity}',
        "half-a-character": b'{"name":"\\ud800"}',
        "header-of-exabytes": (2**62).to_bytes(8, "little") + b"{}",
        "tensor-of-terabytes": tensors("F32", [2**40], 4),
        "tensor-of-nothing-times-much": tensors("F32", [2**62, 0], 0),
        "tensor-of-an-unknown-type": tensors("F7_E9", [1], 4),
        "table-of-one-text-in-every-row": table(rows=100_000, text=200_000),
        "table-of-many-rows": table(rows=5_500_000, text=1),
    }


def tensors(dtype: str, shape: list[int], size: int) -> bytes:
    """A safetensors file of one tensor, as its header claims."""
    header = json.dumps({"images": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def table(rows: int, text: int, columns: tuple[str, ...] = ("role", "failure", "model_key", "samples_key")) -> bytes:
    """A parquet table with one text in all rows of all columns, kept once; `members` are lists of it."""
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array(["x" * text]))
    lists = pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32)), same)
    file = io.BytesIO()
    pq.write_table(pa.table({**dict.fromkeys(columns, same), "members": lists}), file, compression="zstd")
    return file.getvalue()


@contextlib.contextmanager
def little_memory(most: int = 400 * 2**20) -> Iterator[None]:
    """That this process takes no more than `most` bytes more at any moment of the block."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = psutil.Process().memory_info().rss
    yield
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    assert peak * 1024 - before < most, f"{(peak * 1024 - before) / 2**20:.0f} MiB were taken"


BYTES: dict[str, Callable[[Path], bytes]] = {
    **{name: lambda marker, name=name: pickles(marker)[name] for name in pickles(Path("x"))},  # type: ignore[misc]
    **{name: lambda _, content=content: content for name, content in bombs().items()},  # type: ignore[misc]
}
