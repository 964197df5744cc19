"""The store's promises: whole or absent, one winner, nothing executed, nothing outside, whatever kind of store it is."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import fsspec.asyn
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import sha256
from infra.store import Store, StoreError
from tests.infra.racing import python, race


@pytest.fixture(params=["folder", "file-url", "relative", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "s3":
        yield Store(request.getfixturevalue("s3_url"))
        return
    monkeypatch.chdir(tmp_path)
    urls = {
        "folder": f"{tmp_path}/s",
        "file-url": f"file://{tmp_path}/s",
        "relative": "x/../s",
        "memory": f"memory://{tmp_path.name}/s",
    }
    yield Store(urls[request.param])
    fsspec.filesystem("memory").store.clear()


def test_what_is_written_is_read_listed_found_and_deleted(store: Store) -> None:
    assert not store.exists("a/b.json")
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json", sha256(b"two")) == b"two"
    assert store.exists("a/b.json")
    assert store.list("a") == ["a/b.json"]
    store.delete("a/b.json")
    store.delete("a/b.json")
    assert not store.exists("a/b.json")
    assert store.list("a") == []
    with pytest.raises(FileNotFoundError):
        store.read("a/b.json")


def test_create_keeps_what_is_there(store: Store) -> None:
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_create_has_one_winner_among_threads_every_time(store: Store) -> None:
    rounds, start = range(2 if store.url.startswith("s3") else 50), threading.Barrier(8)
    winners: list[list[int]] = [[] for _ in rounds]

    def attempt(number: int) -> None:
        for r in rounds:
            start.wait()
            if store.create(f"a/{r}", str(number).encode()):
                winners[r].append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [len(won) for won in winners] == [1] * len(rounds)
    for r in rounds:
        assert store.read(f"a/{r}") == str(winners[r][0]).encode()


def test_create_has_one_winner_among_processes_every_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    rounds = range(25)
    results = race(8, lambda number: [store.create(f"a/{r}", f"{number}".encode() * 999) for r in rounds])
    for r in rounds:
        winners = [number for number in range(8) if results[number][r]]
        assert len(winners) == 1
        assert store.read(f"a/{r}") == f"{winners[0]}".encode() * 999
    assert list(tmp_path.rglob(".*")) == []


def test_a_folder_is_not_an_object_and_a_longer_name_is_not_below_a_shorter_one(store: Store) -> None:
    store.write("studies/open/a", b"")
    store.write("studies/openmoji/b", b"")
    assert not store.exists("studies/open")
    assert store.list("studies/open") == ["studies/open/a"]


def test_keys_are_found_where_the_name_of_the_root_occurs_again(tmp_path: Path) -> None:
    for url in (str(tmp_path / "s/s"), f"memory://{tmp_path.name}/s/s"):
        store = Store(url)
        store.write("s/s/s", b"")
        assert store.list("s") == ["s/s/s"]


def test_what_others_put_there_under_names_of_no_key_is_not_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/good", b"")
    for name in ("with space", ".hidden", "-dash", "újabb", "new\nline"):
        (tmp_path / "a" / name).write_bytes(b"")
    assert store.list("a") == ["a/good"]


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../x", "a/..", "/etc/passwd", "", "a//b", "a/", ".hidden", "a\0b", "a\nb", "a b", "~/x", "a\\b", "x\n"],
)
def test_no_key_leaves_the_store(store: Store, key: str) -> None:
    for use in (store.read, store.exists, store.list, store.delete):
        with pytest.raises(StoreError, match="not a key"):
            use(key)
    for change in (store.write, store.create):
        with pytest.raises(StoreError, match="not a key"):
            change(key, b"")


@given(st.text(alphabet="./a\\~\n ", max_size=12))
def test_whatever_is_taken_as_a_key_stays_below_the_root(key: str) -> None:
    store = Store("/nowhere/root")
    try:
        path = store.where(key)
    except StoreError:
        return
    assert os.path.normpath(path) == path
    assert path.startswith("/nowhere/root/")


def test_a_relative_store_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here")
    store.write("a", b"x")
    monkeypatch.chdir("/")
    assert store.read("a") == b"x"
    assert Store(store.url).read("a") == b"x"
    assert store.where("a") == str(tmp_path / "here/a")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nope://x", "not known"),
        ("s3://", "names no bucket"),
        ("s3://bucket//prefix", "'//' and '..' would be names"),
        ("s3://bucket/../prefix", "'//' and '..' would be names"),
        ("dir::memory://x", "chain"),
        ("simplecache::s3://bucket/x", "chain"),
    ],
)
def test_a_store_that_cannot_be_one_says_what_to_do(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        Store(url)


def test_credentials_in_the_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(StoreError, match="never from the address") as error:
        Store("s3://someone:secret@bucket/prefix")
    assert "secret@" not in str(error.value) and "someone" not in str(error.value)


class _LooksFirst(fsspec.AbstractFileSystem):
    """Has fsspec's own way of creating, as SFTP, SMB and others have: look first, write then."""

    protocol = "looksfirst"


class _TakesAnything(fsspec.asyn.AsyncFileSystem):
    """Takes any option and does nothing with it."""

    protocol = "takesanything"

    async def _pipe_file(self, path: str, value: bytes, **kwargs: object) -> None:
        raise AssertionError("never used")


@pytest.mark.parametrize("kind", [_LooksFirst, _TakesAnything])
def test_a_file_system_without_exclusive_creation_is_refused(kind: type[fsspec.AbstractFileSystem]) -> None:
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
    with pytest.raises(StoreError, match=f"{kind.protocol} cannot create an object only if it is absent"):
        Store(f"{kind.protocol}://x/y")


def test_damage_is_told_from_absence(store: Store) -> None:
    store.write("a", b"good")
    digest = sha256(b"good")
    store.write("a", b"evil")
    with pytest.raises(StoreError, match="changed or damaged"):
        store.read("a", digest)


def test_an_object_of_absurd_size_is_refused_before_it_is_read(store: Store, tmp_path: Path) -> None:
    store.write("a", b"12345")
    with pytest.raises(StoreError, match="too large: 5 bytes"):
        store.read("a", limit=4)
    assert store.read("a", limit=5) == b"12345"


def test_nothing_is_an_object_too(store: Store) -> None:
    store.write("a", b"")
    assert store.read("a", limit=5) == store.read("a") == b""
    assert store.exists("a")
    assert store.entries("a") == {}
    store.write("b/c", b"")
    assert store.entries("b")["b/c"].size == 0


def test_sizes_and_times_are_listed_and_a_version_is_never_that_of_other_content(store: Store) -> None:
    store.write("a/b", b"one")
    first = store.entries("a")["a/b"]
    assert first.written is not None and abs(first.written - time.time()) < 10
    store.write("a/b", b"two")
    second = store.entries("a")["a/b"]
    assert (first.size, second.size) == (3, 3)
    assert first.version is None or first.version != second.version


def test_a_file_larger_than_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with open(tmp_path / "huge.safetensors", "wb") as file:
        file.truncate(2**43)  # a hole: takes no room on the disk
    with pytest.raises(StoreError, match="too large"):
        store.load_arrays("huge.safetensors")


def test_a_pipe_in_the_place_of_a_file_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for key in ("pipe", "folder"):
        with pytest.raises(StoreError, match="not a plain file"):
            Store(str(tmp_path)).read(key)


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


def test_a_store_that_can_be_used_is_marked_as_one_again_and_again(store: Store) -> None:
    store.check()
    store.check()
    Store(store.url).check()
    assert json.loads(store.read("store.json"))["layout"] == 1


def test_a_store_of_another_layout_is_refused(store: Store) -> None:
    store.write("store.json", b'{"layout":2}')
    with pytest.raises(StoreError, match="another version"):
        store.check()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="set CREDIT_STORE to another"):
            Store(str(tmp_path / "store")).check()
    finally:
        tmp_path.chmod(0o700)


def test_a_store_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="set CREDIT_STORE to another"):
        Store(str(tmp_path / "file/store")).check()


WRITER = """
import sys
from infra.store import Store
store, size = Store(sys.argv[1]), 3_000_000
print("ready")
for number in range(10**9):
    content = bytes([number % 256]) * size
    store.write("a/same", content)
    store.create(f"b/{number}", content)
"""


def test_a_writer_that_is_killed_leaves_whole_objects_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    for moment in (0.01, 0.017, 0.031, 0.047, 0.06):
        writer = python(WRITER, tmp_path / "s")
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        until = time.monotonic() + moment
        while time.monotonic() < until:  # readers see whole objects also while it writes
            _assert_whole(store)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        _assert_whole(store)
    assert store.list("a") == ["a/same"]


def _assert_whole(store: Store) -> None:
    for key in ["a/same", *store.list("b")[-2:]]:
        try:
            content = store.read(key)
        except FileNotFoundError:
            continue
        assert len(content) == 3_000_000
        assert content == content[:1] * len(content)


def test_halves_of_killed_writers_are_swept_once_they_are_old(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/kept", b"")
    old, new = tmp_path / "a/.0123.part", tmp_path / "a/.4567.part"
    for half in (old, new):
        half.write_bytes(b"ha")
    os.utime(old, (time.time() - 90_000,) * 2)
    store.remove_litter()
    assert not old.exists()
    assert new.exists()  # may be somebody's, who is writing now
    assert store.list("a") == ["a/kept"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_that_does_not_answer_is_not_an_empty_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a/b", b"")
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(PermissionError):
            store.exists("a/b")
    finally:
        (tmp_path / "a").chmod(0o700)
