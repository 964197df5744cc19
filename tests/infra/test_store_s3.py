"""The store on a real S3 server: races between processes, large and many objects, kills, and what is said when it is set up
wrongly. What holds for every kind of store is in test_store.py, which runs on S3 too."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import s3fs
import safetensors.numpy

from infra.digest import sha256
from infra.s3_server import S3Server
from infra.store import Store, StoreError, StoreRefused, StoreUnavailable
from tests.conftest import forget_connections, use
from tests.infra.gateway import gateway_without_conditions
from tests.infra.racing import python, race

pytestmark = pytest.mark.s3


@pytest.mark.servers
def test_create_has_one_winner_among_processes_every_time(s3_url: str) -> None:
    rounds = range(10)

    def attempt(number: int) -> list[bool]:
        store = Store(s3_url)  # in the new process: connections cannot be shared
        return [store.create(f"a/{r}", f"{number}".encode() * 999) for r in rounds]

    results = race(6, attempt)
    store = Store(s3_url)
    for r in rounds:
        winners = [number for number in range(6) if results[number][r]]
        assert len(winners) == 1
        assert store.read(f"a/{r}") == f"{winners[0]}".encode() * 999


def test_a_server_behind_which_create_replaces_is_refused(s3_server: S3Server, s3_url: str) -> None:
    """Some servers ignore the condition, and some gateways drop it: two runs could both believe they were first."""
    with gateway_without_conditions(s3_server), pytest.raises(StoreError, match="ignores 'If-None-Match"):
        Store(s3_url).check()


def test_a_server_behind_which_create_replaces_is_refused_without_a_check_too(s3_server: S3Server, s3_url: str) -> None:
    with gateway_without_conditions(s3_server):
        Store(s3_url).write("a/b", b"")
        with pytest.raises(StoreError, match="ignores 'If-None-Match"):
            Store(s3_url).create("a/c", b"")


def test_what_another_process_writes_is_seen_at_once(s3_url: str) -> None:
    """s3fs keeps listings, and objects' sizes with them."""
    store = Store(s3_url)
    store.write("a/1", b"one")
    assert store.list("a") == ["a/1"]
    other = python(
        "import sys; from infra.store import Store; s = Store(sys.argv[1]); s.write('a/1', b'longer'); s.write('a/2', b'')",
        s3_url,
    )
    assert other.wait() == 0
    assert store.list("a") == ["a/1", "a/2"]
    assert store.entries("a")["a/1"].size == 6
    assert store.read("a/1") == store.read("a/1", limit=99) == b"longer"
    assert store.exists("a/2")


FOLDER_THERE_AND_BACK = """
import sys, threading, time
from pathlib import Path
import psutil
from infra.store import Store
store, up, down = Store(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
store.check()
memory, seen = psutil.Process().memory_info, []
before = memory().rss
def watch():
    while True:
        seen.append(memory().rss)
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
digests = store.upload_folder(up, "reference/x")
store.download_folder("reference/x", down, digests)
print(max(seen) - before)
"""


@pytest.mark.servers
def test_a_model_of_many_parts_goes_up_and_comes_down_with_little_of_it_in_memory(s3_url: str, tmp_path: Path) -> None:
    size = 128 * 2**20  # sixteen parts; four are in memory at once
    (tmp_path / "up/unet").mkdir(parents=True)
    weights = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    safetensors.numpy.save_file({"weights": weights}, tmp_path / "up/unet/weights.safetensors")
    other = python(FOLDER_THERE_AND_BACK, s3_url, tmp_path / "up", tmp_path / "down")
    assert other.stdout is not None
    added = int(other.stdout.readline())
    assert other.wait() == 0
    assert added < 96 * 2**20
    loaded = safetensors.numpy.load_file(tmp_path / "down/unet/weights.safetensors")["weights"]
    np.testing.assert_array_equal(loaded, weights)


@pytest.mark.servers
def test_arrays_of_several_parts_come_back_as_they_were(s3_url: str) -> None:
    store = Store(s3_url)
    arrays = {"weights": np.random.default_rng(1).integers(0, 256, 60 * 2**20, np.uint8)}
    digest = store.save_named_by_content("models", arrays)
    assert store.entries("models")[f"models/{digest}.safetensors"].size > 60 * 2**20
    np.testing.assert_array_equal(
        store.load_arrays(f"models/{digest}.safetensors", digest)["weights"], arrays["weights"]
    )


def test_parts_of_a_killed_writer_are_swept_once_they_are_old(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, fs = Store(s3_url), s3fs.S3FileSystem()
    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    for key in (f"{prefix}/models/x", "elsewhere/x"):
        fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)

    def left() -> set[str]:
        return {upload["Key"] for upload in fs.call_s3("list_multipart_uploads", Bucket=bucket).get("Uploads", [])}

    store.remove_litter()
    assert f"{prefix}/models/x" in left()  # may be somebody's, who is writing now
    monkeypatch.setattr("infra.bucket._LITTER_AGE", timedelta(0))
    store.remove_litter()
    assert f"{prefix}/models/x" not in left()
    assert "elsewhere/x" in left()  # not below this store


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"does not accept the credentials.*AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"does not accept the credentials.*AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": None}, r"no credentials for the store.*AWS_ACCESS_KEY_ID and.*AWS_PROFILE"),
        (
            {"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": None},
            r"profile \(nobody\) could not be found; see AWS_PROFILE",
        ),
        ({"AWS_ENDPOINT_URL_S3": "nowhere"}, "AWS_ENDPOINT_URL_S3 must be an address"),
    ],
)
def test_wrong_settings_are_named_before_any_work(
    changes: dict[str, str | None], said: str, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in changes.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    forget_connections()
    with pytest.raises(StoreRefused, match=said):
        Store(s3_url).check()


def test_a_bucket_that_does_not_exist_is_no_empty_store(s3_url: str) -> None:
    store = Store("s3://nobody/prefix")
    for use_it in (store.check, lambda: store.list("a"), lambda: store.exists("a"), lambda: store.read("a")):
        with pytest.raises(StoreRefused, match=r"no bucket 'nobody'.*create it, or set CREDIT_STORE"):
            use_it()
    with pytest.raises(StoreRefused, match="no bucket"):
        store.read("a", limit=9)


def test_the_endpoint_of_all_aws_services_will_do(
    s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    forget_connections()
    Store(s3_url).check()


def test_credentials_may_come_from_a_profile(
    s3_server: S3Server, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = s3_server.environment()
    (tmp_path / "config").write_text(f"[profile credit]\nendpoint_url = {s3_server.endpoint}\nregion = us-east-1\n")
    (tmp_path / "credentials").write_text(
        f"[credit]\naws_access_key_id = {environment['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {environment['AWS_SECRET_ACCESS_KEY']}\n"
    )
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "credit")
    forget_connections()
    Store(s3_url).check()


WRITER = """
import sys
from infra.store import Store
store, size = Store(sys.argv[1]), 40_000_000  # three parts
print("ready")
for number in range(10**9):
    content = bytes([number % 256]) * size
    store.write("a/same", content)
    store.create(f"b/{number}", content[:3_000_000])
    print(number)
"""


def assert_whole(store: Store) -> None:
    for key in ("a/same", *store.list("b")):
        try:
            content = store.read(key)
        except FileNotFoundError:
            continue
        assert len(content) == (40_000_000 if key == "a/same" else 3_000_000)
        assert content == content[:1] * len(content)


@pytest.mark.servers
def test_a_writer_that_is_killed_leaves_whole_objects_only(s3_url: str) -> None:
    store = Store(s3_url)
    for moment in (0.05, 0.3):
        writer = python(WRITER, s3_url)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(moment)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        assert_whole(store)


@pytest.mark.servers
def test_a_server_killed_in_the_middle_of_a_write_has_whole_objects_only_and_takes_it_again(
    own_s3_server: S3Server,
) -> None:
    url = own_s3_server.url("store")
    store = Store(url)
    store.check()
    store.write("a/before", b"kept")
    writer = python(WRITER, url)
    assert writer.stdout is not None
    for _ in range(2):
        writer.stdout.readline()
    time.sleep(0.1)
    own_s3_server.kill()
    with pytest.raises(StoreUnavailable, match=r"does not answer.*AWS_ENDPOINT_URL_S3"):
        store.read("a/before")
    own_s3_server.start()
    assert store.read("a/before") == b"kept"  # the same object goes on: a run needs no restart
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert_whole(store)
    content = bytes(40_000_000)
    store.write("a/same", content)
    assert store.read("a/same", sha256(content)) == content
    assert store.create("c/new", b"")
    assert not store.create("c/new", b"")


@pytest.mark.servers
def test_a_server_started_anew_over_old_data_has_them_and_refuses_the_old_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s3/data"
    with S3Server(folder) as first:
        use(first.environment(), monkeypatch)
        Store(first.url("x")).write("a/b", b"kept")
    with S3Server(folder) as second:
        use(second.environment(), monkeypatch)
        assert Store(second.url("x")).read("a/b") == b"kept"
        old = first.environment()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", old["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", old["AWS_SECRET_ACCESS_KEY"])
        forget_connections()
        with pytest.raises(StoreRefused, match="does not accept the credentials"):
            Store(second.url("x")).check()
    forget_connections()
