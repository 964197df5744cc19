"""Uploads: whole or absent, resumed where they broke off, in their own contributor's folder, and never trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.digest import canonical_json, sha256
from infra.store import Store, StoreError
from infra.upload import UploadError, hand_in, prepare
from infra.uploads import Upload, UploadedFile, contributor_folder, find_uploads
from tests.infra.racing import ROOT, python

PERSON = "Emily Jäger"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(request.getfixturevalue("s3_url") if request.param == "s3" else str(tmp_path / "store"))


@pytest.fixture(params=["folder", pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.servers])])
def slower_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """For tests that start processes, which take seconds in a bucket."""
    return Store(request.getfixturevalue("s3_url") if request.param == "s3" else str(tmp_path / "store"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A person's folder, with what is usually in such folders."""
    folder = tmp_path / "my images"
    for name, content in {
        "metadata.csv": b"file_name,date\n",
        "Sonne über Köln (2).png": b"sun",
        "sub/日本.png": b"japan",
        "sub/copy of sun.png": b"sun",
        "sub/empty.png": b"",
        ".DS_Store": b"litter",
        "sub/Thumbs.db": b"litter",
        ".git/config": b"litter",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


class Counting(Store):
    """Notes which files are sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[str] = []

    def write_file(self, key: str, source: Path) -> str:
        self.sent.append(key)
        return super().write_file(key, source)


def handed_in(folder: Path, store: Store, contributor: str = PERSON) -> Upload:
    upload, paths = prepare(folder, contributor)
    assert hand_in(upload, paths, store)
    return upload


def test_what_was_handed_in_is_listed_and_read(images: Path, store: Store) -> None:
    upload = handed_in(images, store)
    found = find_uploads(store)
    assert found.complete == [upload] and not found.unfinished and not found.refused
    content = {file.name: upload.read(store, file) for file in upload.files}
    assert content == {
        "metadata.csv": b"file_name,date\n",
        "Sonne über Köln (2).png": b"sun",
        "sub/日本.png": b"japan",
        "sub/copy of sun.png": b"sun",
        "sub/empty.png": b"",
    }
    assert upload.folder.startswith(f"{contributor_folder('images', PERSON)}/")
    assert len(store.list(f"{upload.folder}/files")) == 4  # equal files are kept once


def test_the_same_folder_again_sends_nothing_and_another_one_is_another_upload(images: Path, store: Store) -> None:
    first = handed_in(images, store)
    upload, paths = prepare(images, PERSON)
    assert not hand_in(upload, paths, store)
    assert find_uploads(store).complete == [first]
    (images / "new.png").write_bytes(b"new")
    second = handed_in(images, store)
    other = handed_in(images, store, "Somebody Else")
    assert set(find_uploads(store).complete) == {first, second, other}


def test_it_is_not_there_before_it_is_whole_and_goes_on_where_it_broke_off(images: Path, store: Store) -> None:
    upload, paths = prepare(images, PERSON)
    whole = paths[sha256(b"japan")]
    paths[sha256(b"japan")] = images / "gone.png"
    with pytest.raises(UploadError, match=r"日本.*removed while it was to be uploaded; start again"):
        hand_in(upload, paths, store)
    found = find_uploads(store)
    assert not found.complete and "and no complete.json" in found.unfinished[upload.folder]
    paths[sha256(b"japan")] = whole
    there = store.list(f"{upload.folder}/files")
    counting = Counting(store.url)
    assert hand_in(upload, paths, counting)
    assert set(counting.sent) == {upload.key(file) for file in upload.files} - set(there)
    assert find_uploads(store).complete == [upload]


def test_a_file_that_changes_meanwhile_is_noticed_and_leaves_nothing_under_its_old_name(
    images: Path, store: Store
) -> None:
    upload, paths = prepare(images, PERSON)
    (images / "sub/日本.png").write_bytes(b"JAPAN")
    with pytest.raises(UploadError, match="was changed while it was uploaded"):
        hand_in(upload, paths, store)
    assert not store.exists(f"{upload.folder}/files/{sha256(b'japan')}")
    assert not find_uploads(store).complete


def test_what_the_store_gives_back_is_checked_before_it_counts_as_whole(images: Path, store: Store) -> None:
    upload, paths = prepare(images, PERSON)
    damaged = f"{upload.folder}/files/{sha256(b'japan')}"
    store.write(damaged, b"jap\0n")  # as long as it should be
    with pytest.raises(StoreError, match="changed or damaged"):
        hand_in(upload, paths, store)
    assert not find_uploads(store).complete
    assert hand_in(upload, paths, store)  # it was not kept
    assert store.read(damaged) == b"japan"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps no such names")
def test_hostile_names_are_all_refused_before_anything_is_sent(images: Path, store: Store) -> None:
    (images / "a\nb.png").write_bytes(b"")
    (images / "back\\slash.png").write_bytes(b"")
    (images / "\u202egnp.exe").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.png")).write_bytes(b"")
    (images / "e\u0301.png").write_bytes(b"")
    (images / "\xe9.png").write_bytes(b"")
    (images / "link.png").symlink_to("/etc/passwd")
    (images / "folder").symlink_to("/etc")
    os.mkfifo(images / "pipe")
    with pytest.raises(UploadError) as error:
        prepare(images, PERSON)
    said = str(error.value)
    assert said.startswith("nothing was sent") and said.isascii() | said.replace("\n", "").isprintable()
    for reason in ("control character (U+000A)", "backslash", "U+202E", "not Unicode", "'link.png' is a link",
                   "'folder' is a link", "pipe or a device", "spelt in two ways"):  # fmt: skip
        assert reason in said
    assert said.count("\n") == 8
    assert store.list("uploads") == []


@pytest.mark.parametrize(
    ("contributor", "said"),
    [("../x", "looks like a path"), ("", "shows no character"), ("a\nb", r"control character \(U\+000A\)")],
)
def test_hostile_contributors_are_refused(contributor: str, said: str, images: Path) -> None:
    with pytest.raises(UploadError, match=f"nothing was sent: contributor.*{said}"):
        prepare(images, contributor)


def test_an_empty_folder_and_none_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="no files"):
        prepare(tmp_path, PERSON)
    with pytest.raises(UploadError, match="not a folder"):
        prepare(tmp_path / "none", PERSON)


def test_two_files_that_are_one_where_case_does_not_count_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "A.png"):
        (tmp_path / name).write_bytes(name.encode())
    if len(list(tmp_path.iterdir())) == 2:
        with pytest.raises(UploadError, match="are one file where case does not count"):
            prepare(tmp_path, PERSON)


def manifest(**changes: Any) -> dict[str, Any]:
    files = [{"name": "a.png", "sha256": sha256(b"a"), "size": 1}]
    return {"schema_version": 1, "collection": "images", "contributor": PERSON, "files": files, **changes}


def named(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "sha256": sha256(b"a"), "size": 1}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not the manifest"),
        (b"{}", "not the manifest"),
        (b"\x80\x04.", "not the manifest"),
        (manifest(files=[]), "not the manifest"),
        (manifest(files=named("../../evil")), "leads elsewhere"),
        (manifest(files=named("/etc/passwd")), "not relative"),
        (manifest(files=named("a\nb")), "control character"),
        (manifest(files=named("a") * 2), "are one file"),
        (manifest(files=named("a") + named("A")), "are one file"),
        (manifest(files=[{"name": "a", "sha256": "../x", "size": 1}]), "not the manifest"),
        (manifest(files=[{"name": "a", "sha256": sha256(b"a"), "size": -1}]), "not the manifest"),
        (manifest(files=[{"name": "a", "sha256": sha256(b"a"), "size": 2**40}]), "not the manifest"),
        (manifest(**{"\x1b[31mextra": 1}), "not the manifest"),
        (manifest(contributor="Somebody Else"), "of another upload or contributor"),
        (manifest(contributor="../../x"), "looks like a path"),
        (manifest(collection="../../x"), "not the manifest"),
        (manifest(collection="other"), "of another upload or contributor"),
    ],
)
def test_a_manifest_that_lies_is_set_aside_with_the_reason_and_disturbs_nobody(
    content: Any, said: str, images: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    good = handed_in(images, store, "Good Person")
    folder = Upload.model_validate(manifest()).folder
    store.write(f"{folder}/files/{sha256(b'a')}", b"a")
    store.write(f"{folder}/complete.json", content if isinstance(content, bytes) else canonical_json(content))
    found = find_uploads(store)
    assert found.complete == [good]
    assert list(found.refused) == [folder]
    assert said in found.refused[folder] and "\x1b" not in found.refused[folder]


def test_an_upload_of_which_something_was_taken_away_or_changed_is_refused(images: Path, store: Store) -> None:
    upload = handed_in(images, store)
    file = next(file for file in upload.files if "日本" in file.name)
    store.write(upload.key(file), b"JAPAN")
    assert find_uploads(store).complete == [upload]  # the listing cannot tell
    with pytest.raises(StoreError, match="changed or damaged"):
        upload.read(store, file)
    store.write(upload.key(file), b"Nippon")
    assert "of another size" in find_uploads(store).refused[upload.folder]
    store.delete(upload.key(file))
    assert "not there" in find_uploads(store).refused[upload.folder]


def test_the_order_of_a_manifest_does_not_matter_to_its_name() -> None:
    files = tuple(UploadedFile(name=name, sha256=sha256(name.encode()), size=1) for name in "abc")
    names = {Upload(collection="c", contributor="p", files=order).digest for order in (files, files[::-1])}
    assert len(names) == 1


def test_a_collection_is_not_a_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no collection"):
        find_uploads(Store(str(tmp_path)), "../x")


def command(*arguments: object, module: str = "infra.upload", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_the_command_hands_in_says_where_and_is_listed(images: Path, slower_store: Store) -> None:
    store = slower_store
    dry = command(images, "--contributor", PERSON, "--to", store.url, "--dry-run")
    assert dry.returncode == 0 and f"uploads/images/emily-jager-{sha256(PERSON.encode())[:12]}/" in dry.stdout
    assert store.list("uploads") == []
    first = command(images, "--contributor", PERSON, CREDIT_STORE=store.url)
    assert (first.returncode, first.stdout.splitlines()[-1]) == (0, "complete")
    again = command(images, "--contributor", PERSON, "--to", store.url)
    assert again.returncode == 0 and "nothing was sent" in again.stdout
    listed = command("--at", store.url, module="infra.uploads")
    assert listed.returncode == 0 and listed.stdout.startswith(f"complete    {PERSON}: 5 files, 26 bytes")


def test_the_command_says_what_is_wrong_in_one_message(tmp_path: Path) -> None:
    wrong = command(tmp_path / "none", "--contributor", PERSON, "--to", tmp_path / "store")
    assert wrong.returncode == 2 and wrong.stderr == f"{tmp_path / 'none'} is not a folder\n"


@pytest.mark.s3
def test_the_command_says_what_is_wrong_with_the_store_before_anything_is_sent(images: Path, s3_url: str) -> None:
    wrong = command(images, "--contributor", PERSON, "--to", "s3://nobody/x")
    assert wrong.returncode == 1 and "there is no bucket 'nobody'" in wrong.stderr and "Traceback" not in wrong.stderr


KILLED = """
import sys, threading, time
from pathlib import Path
from infra.store import Store
from infra.upload import hand_in, prepare

class Slowing(Store):
    # The last of the files never arrive: the kill meets the command half way on machines of any speed.
    def write_file(self, key, path):
        with lock:
            sent.append(key)
            if len(sent) == 12:
                print("half way", flush=True)
            if len(sent) > 30:
                time.sleep(600)
        return super().write_file(key, path)

lock, sent = threading.Lock(), []
upload, paths = prepare(Path(sys.argv[2]), sys.argv[3])
hand_in(upload, paths, Slowing(sys.argv[1]), lambda text: None)
"""


def test_a_killed_upload_leaves_nothing_that_counts_and_goes_on(slower_store: Store, tmp_path: Path) -> None:
    store = slower_store
    for number in range(40):
        path = tmp_path / f"many/{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(300_000))
    other = python(KILLED, store.url, tmp_path / "many", PERSON)
    assert other.stdout is not None
    assert other.stdout.readline() == "half way\n"
    other.kill()
    other.wait()
    other.stdout.close()
    upload, paths = prepare(tmp_path / "many", PERSON)
    assert not find_uploads(store).complete
    there = store.list(f"{upload.folder}/files")
    assert 0 < len(there) < 40
    assert all(len(store.read(key, Path(key).name)) == 300_000 for key in there)
    said: list[str] = []
    assert hand_in(upload, paths, store, said.append)
    assert f"{len(there)} of 40 files are there from before" in said
    assert find_uploads(store).complete == [upload]


def test_the_manifest_is_what_is_documented(images: Path, tmp_path: Path) -> None:
    """Others write it too, in other languages."""
    store = Store(str(tmp_path / "store"))
    upload = handed_in(images, store)
    content = json.loads(store.read(f"{upload.folder}/complete.json"))
    assert content.keys() == {"schema_version", "collection", "contributor", "files"}
    assert content["files"][0].keys() == {"name", "sha256", "size"}
    # By hand, from the documentation alone:
    spec = {**content, "files": sorted(content["files"], key=lambda file: file["name"])}
    text = json.dumps(
        {"kind": "upload", "schema": 1, "spec": spec}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert upload.folder.endswith(f"/{sha256(text.encode())}")
