"""Arrays and folders: they come back as they were, nothing in them is executed, nothing leads outside."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from infra.digest import sha256
from infra.store import DiskFull, Store, StoreError, scratch_folder


def test_arrays_come_back_as_they_were(store: Store) -> None:
    arrays: dict[str, np.ndarray] = {
        "pixels": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)[::-1],
        "none": np.empty((0, 3), np.float64),
        "one": np.array(2.5, np.float32),
    }
    digest = store.save_arrays("a.safetensors", arrays)
    loaded = store.load_arrays("a.safetensors", digest)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


class _Bomb:
    """Makes a file when unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.witness),)


def _tensors(dtype: str, shape: list[int], end: int) -> bytes:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(end)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"\xff" * 64,
        _tensors("BF16", [1], 2),
        _tensors("F32", [2**62, 0], 0),
        _tensors("F32", [2**40], 4),
        safetensors.numpy.save({"a": np.zeros(9)})[:-1],
    ],
)
def test_what_is_not_arrays_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    store = Store(str(tmp_path))
    store.write("x.safetensors", content)
    with pytest.raises(StoreError, match=r"x\.safetensors holds no arrays"):
        store.load_arrays("x.safetensors")


def test_a_planted_pickle_is_refused_and_not_run(store: Store, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    store.write("x.safetensors", pickle.dumps(_Bomb(witness)))
    with pytest.raises(StoreError, match="holds no arrays"):
        store.load_arrays("x.safetensors")
    assert not witness.exists()
    pickle.loads(store.read("x.safetensors"))
    assert witness.exists()  # the bomb was real


def test_a_folder_goes_up_and_comes_down_the_same(store: Store, tmp_path: Path) -> None:
    (tmp_path / "up/unet").mkdir(parents=True)
    (tmp_path / "up/index.json").write_bytes(b"{}")
    (tmp_path / "up/unet/weights.bin").write_bytes(bytes(range(256)))
    digests = store.upload_folder(tmp_path / "up", "reference/x")
    store.download_folder("reference/x", tmp_path / "down", digests)
    assert (tmp_path / "down/unet/weights.bin").read_bytes() == bytes(range(256))
    store.write("reference/x/index.json", b"[]")
    with pytest.raises(StoreError, match="changed or damaged"):
        store.download_folder("reference/x", tmp_path / "again", digests)


@pytest.mark.parametrize("name", ["../../evil", "/evil/x", "a/../../evil", "..", "unet/.hidden"])
def test_names_from_a_record_cannot_lead_a_download_out_of_its_folder(store: Store, tmp_path: Path, name: str) -> None:
    inside = tmp_path / "deep/er"
    inside.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="not a key"):
        store.download_folder("reference/x", inside, {name: sha256(b"")})
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_is_not_what_was_recorded_is_not_left_behind(store: Store, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"good")
    digest = store.write_file("a", tmp_path / "up")
    store.read_file("a", tmp_path / "down/a", digest)
    assert (tmp_path / "down/a").read_bytes() == b"good"
    store.write("a", b"evil")
    with pytest.raises(StoreError, match="changed or damaged"):
        store.read_file("a", tmp_path / "down/a", digest)
    assert not (tmp_path / "down/a").exists()
    with pytest.raises(FileNotFoundError):
        store.read_file("b", tmp_path / "down/b", digest)


def test_too_little_room_for_a_download_is_a_full_disk_that_is_named_with_the_setting_and_nothing_is_fetched(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "up").write_bytes(b"eleven byte")
    digest = store.write_file("a", tmp_path / "up")
    free = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr("infra.store.shutil.disk_usage", lambda path: free)
    with (
        pytest.raises(DiskFull, match=rf"a has 11 bytes, and there is room for 10 at {tmp_path / 'down'}\. .*TMPDIR"),
        scratch_folder(),
    ):
        store.read_file("a", tmp_path / "down/a", digest)
    assert not list((tmp_path / "down").iterdir())
