"""No path leads out of the data folder, by whatever means, also not after it was looked at; and nothing is waited for."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local_tree import DEEPEST, NotPlain, read_below, tree
from infra.store import Store
from infra.upload import UploadError, prepare
from infra.uploads import find_uploads
from tasks.partition import DataError, attribution, partition
from tasks.partition.folder import Folder
from tests.hostile.bytes import picture_of
from tests.partition.conftest import DataFolder, folder, names_in, only_problem

__all__ = ["folder"]  # a fixture
SECRET = picture_of(777, 12)


@pytest.fixture
def outside(folder: DataFolder) -> Path:
    """A folder beside the data, with a picture that nobody may read."""
    place = folder.path.parent / "outside"
    place.mkdir()
    (place / "secret.png").write_bytes(SECRET)
    return place


def bind(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's address may have a hundred characters
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def link_to_link(path: Path, outside: Path) -> None:
    path.with_suffix(".txt").symlink_to(outside / "secret.png")
    path.symlink_to(path.with_suffix(".txt"))


def link_to_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path.with_name("q"))
    path.symlink_to(path.with_name("q"))


PLANTED: dict[
    str, tuple[Callable[[Path, Path], object], str]
] = {  # what is put in a picture's place, the problem's kind
    "link out": (lambda path, outside: path.symlink_to(outside / "secret.png"), "outside-folder"),
    "relative link out": (lambda path, outside: path.symlink_to("../outside/secret.png"), "outside-folder"),
    "link to a link out": (link_to_link, "outside-folder"),
    "loop": (lambda path, outside: path.symlink_to(path), "missing-file"),
    "link to a folder": (lambda path, outside: path.symlink_to(outside), "outside-folder"),
    "link to the root": (lambda path, outside: path.symlink_to("/"), "outside-folder"),
    "link to a device": (lambda path, outside: path.symlink_to("/dev/zero"), "outside-folder"),
    "link to the data folder": (lambda path, outside: path.symlink_to(path.parent), "outside-folder"),
    "pipe": (lambda path, outside: os.mkfifo(path), "unreadable"),
    "socket": (lambda path, outside: bind(path), "unreadable"),
    "link to a pipe": (link_to_pipe, "unreadable"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_no_plain_file_is_left_out_by_name_and_not_waited_for(
    what: str, folder: DataFolder, outside: Path
) -> None:
    plant, kind = PLANTED[what]
    plant(folder.path / "x.png", outside)
    folder.add("x.png", "alice", None)
    parts = folder.partition()
    assert (kind, "left out") in {(p.kind, p.action) for p in parts.problems if p.subject == "x.png"}
    assert "x.png" not in names_in(parts) and len(parts.images) == 12


def test_a_hard_link_is_a_file_like_any_other(folder: DataFolder, outside: Path) -> None:
    os.link(outside / "secret.png", folder.path / "x.png")
    folder.add("x.png", "alice", None)
    assert "x.png" in names_in(folder.partition())


def test_a_device_is_no_picture(folder: DataFolder) -> None:
    try:
        os.mknod(folder.path / "x.png", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")
    folder.add("x.png", "alice", None)
    assert only_problem(folder.partition()).kind == "unreadable"


RACES: dict[str, Callable[[Path, Path], object]] = {  # what a file has become between the look and the reading
    "link out": lambda path, outside: path.symlink_to(outside / "secret.png"),
    "pipe": lambda path, outside: os.mkfifo(path),
    "socket": lambda path, outside: bind(path),
    "folder": lambda path, outside: path.mkdir(),
    "larger": lambda path, outside: path.write_bytes(b"x" * 1_000_000),
    "device": lambda path, outside: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("what", RACES)
def test_a_file_that_is_replaced_after_the_look_is_left_out(
    what: str, folder: DataFolder, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("sub/x.png", "alice", 50)
    look = Folder.open.__func__  # type: ignore[attr-defined]

    def replaced(cls: type[Folder], url: str) -> Folder:
        found: Folder = look(cls, url)
        (folder.path / "sub/x.png").unlink()
        RACES[what](folder.path / "sub/x.png", outside)
        return found

    monkeypatch.setattr(Folder, "open", classmethod(replaced))
    parts = folder.partition()
    problem = only_problem(parts)
    assert (problem.kind, problem.subject, problem.action) == ("changed", "sub/x.png", "left out")
    assert len(parts.images) == 12


def test_a_folder_on_the_way_that_becomes_a_link_leads_nowhere(
    folder: DataFolder, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.add("sub/secret.png", "alice", 50)
    (outside / "secret.png").write_bytes((folder.path / "sub/secret.png").read_bytes())  # as large as it was
    look = Folder.open.__func__  # type: ignore[attr-defined]

    def replaced(cls: type[Folder], url: str) -> Folder:
        found: Folder = look(cls, url)
        shutil.rmtree(folder.path / "sub")
        (folder.path / "sub").symlink_to(outside)
        return found

    monkeypatch.setattr(Folder, "open", classmethod(replaced))
    assert only_problem(folder.partition()).kind == "changed"


def test_the_table_and_the_attribution_are_not_read_through_links_either(folder: DataFolder, outside: Path) -> None:
    (outside / "ATTRIBUTION.txt").write_text("a secret")
    (folder.path / "ATTRIBUTION.txt").symlink_to(outside / "ATTRIBUTION.txt")
    folder.write_metadata()
    assert attribution(folder.spec()) == ""
    looked = Folder.open(str(folder.path))
    (folder.path / "metadata.csv").rename(outside / "metadata.csv")
    (folder.path / "metadata.csv").symlink_to(outside / "metadata.csv")
    with pytest.raises(ValueError, match="reached through a link by now"):
        looked.read("metadata.csv")
    with pytest.raises(DataError, match="leads out of the data folder"):
        partition(folder.spec(), 8)


def test_an_endless_attribution_is_not_printed(folder: DataFolder) -> None:
    with (folder.path / "ATTRIBUTION.txt").open("wb") as file:
        file.truncate(2**40)  # sparse
    folder.write_metadata()
    said = attribution(folder.spec())
    assert "1,099,511,627,776 bytes" in said and len(said) < 300


def test_a_huge_sparse_picture_is_refused_unread(folder: DataFolder) -> None:
    with (folder.path / "x.png").open("wb") as file:
        file.truncate(2**40)
    folder.add("x.png", "alice", None)
    assert only_problem(folder.partition()).kind == "too-large"


def test_very_deep_folders_are_said_and_end_nothing(folder: DataFolder) -> None:
    here = folder.path
    for _ in range(DEEPEST + 5):
        here = here / "d"
        here.mkdir()
    (here / "x.png").write_bytes(SECRET)
    handle = os.open(folder.path, os.O_RDONLY)
    for _ in range(1_500):  # deeper than a path can be written, and than Python calls functions within functions
        os.mkdir("e", dir_fd=handle)
        deeper = os.open("e", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)
    problems = folder.partition().problems
    assert [(p.kind, p.action) for p in problems] == [("unreadable", "left out")] * 2
    assert all(f"more than {DEEPEST} folders deep" in p.reason for p in problems)
    with pytest.raises(UploadError, match="folders deep"):
        prepare(folder.path, "Alice")
    _remove(folder.path / "e")


def _remove(top: Path) -> None:
    """A tree that is deeper than a path can be written."""
    while True:
        inner = top / "e"
        if not inner.exists():
            break
        inner.rename(top.with_name("next"))
        top.rmdir()
        top.with_name("next").rename(top)
    top.rmdir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into everything")
def test_a_folder_that_cannot_be_looked_into_is_said(folder: DataFolder) -> None:
    folder.add("shut/x.png", "alice", 50)
    (folder.path / "shut").chmod(0)
    try:
        problems = {problem.subject: problem.kind for problem in folder.partition().problems}
    finally:
        (folder.path / "shut").chmod(0o700)
    assert problems["shut"] == "unreadable"


def test_reading_below_a_root_follows_no_link_and_gives_no_more_than_asked(tmp_path: Path) -> None:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/a/file").write_bytes(b"12345")
    (tmp_path / "root/b").symlink_to(tmp_path / "root/a")
    assert read_below(str(tmp_path / "root"), "a/file", 5) == b"12345"
    with pytest.raises(NotPlain, match="more than the 4 bytes"):
        read_below(str(tmp_path / "root"), "a/file", 4)
    with pytest.raises(NotPlain, match="through a link"):
        read_below(str(tmp_path / "root"), "b/file", 5)
    with pytest.raises(FileNotFoundError):
        read_below(str(tmp_path / "root"), "a/none", 5)
    assert [entry.name for entry in tree(str(tmp_path / "root"))] == ["a", "b", "a/file"]


@pytest.mark.parametrize("what", PLANTED)
def test_nothing_but_plain_files_is_handed_in(what: str, tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    for place in (data, outside):
        place.mkdir()
    (outside / "secret.png").write_bytes(SECRET)
    (data / "good.png").write_bytes(SECRET)
    PLANTED[what][0](data / "x.png", outside)
    with pytest.raises(UploadError, match=r"'x\.png' is a (link|pipe or a device)"):
        prepare(data, "Alice")
    assert not find_uploads(Store(str(tmp_path / "store"))).complete
