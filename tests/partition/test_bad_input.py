"""Every kind of bad input ends as a Problem with a name and a reason, or as one DataError; nothing goes silently."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tasks.partition import DataError, partition
from tests.partition.conftest import DataFolder, encoded, names_in, only_problem, picture, problems_of

Change = Callable[[DataFolder], None]


def _bad_file(name: str, content: bytes) -> Change:
    return lambda folder: folder.add(name, "alice", content)


def _bad_row(name: str, owner: str) -> Change:
    return lambda folder: folder.add(name, owner, 99)


LEFT_OUT: dict[str, tuple[Change, str, str]] = {  # change, subject, words of the reason
    "empty-file": (_bad_file("x.png", b""), "x.png", "0 bytes"),
    "unreadable": (_bad_file("x.png", b"no image"), "x.png", "not a whole image"),
    "truncated": (_bad_file("x.png", encoded(picture(9, size=(64, 64)))[:5000]), "x.png", "ends too early"),
    "too-large": (_bad_file("x.png", encoded(picture(9, size=(200, 200)))), "x.png", "maximum_megapixels"),
    "missing-file": (lambda folder: folder.add("x.png", "alice", None), "x.png", "not in the folder"),
    "unlisted-file": (lambda folder: folder.add("x.png", None, 99), "x.png", "not in the metadata"),
    "no-owner": (_bad_row("x.png", " "), "x.png", "no owner"),
    "bad-shares": (_bad_row("x.png", "alice:0.7;bob:0.2"), "x.png", "sum to 0.9"),
    "unsafe-name": (_bad_row("x.png", "../alice"), "../alice", "looks like a path"),
    "unsafe-path": (lambda folder: folder.add("../x.png", "alice", None), "../x.png", "leads out"),
    "no-file-name": (lambda folder: folder.add("", "alice", None), "metadata.csv line 14", "names no file"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_an_unusable_image_is_left_out_by_name_with_its_reason(kind: str, folder: DataFolder) -> None:
    change, subject, words = LEFT_OUT[kind]
    change(folder)
    parts = folder.partition(maximum_megapixels=0.03)
    problem = only_problem(parts)
    assert (problem.kind, problem.subject, problem.action) == (kind, subject, "left out")
    assert words in problem.reason
    assert len(parts.images) == 12


@pytest.mark.parametrize("path", ["../secret.png", "a/../../secret.png", "/etc/hosts", "file:///etc/hosts", "C:/x.png",
    "..\\secret.png", "~/x.png", "a\x00.png"])  # fmt: skip
def test_file_names_cannot_leave_the_folder(path: str, folder: DataFolder) -> None:
    (folder.path.parent / "secret.png").write_bytes(encoded(picture(99)))
    folder.add("placeholder", None, None)
    folder.rows.append({"file_name": path, "contributor": "alice", "date": ""})
    parts = folder.partition()
    assert only_problem(parts).kind == "unsafe-path"
    assert only_problem(parts).subject == path


def test_links_cannot_leave_the_folder(folder: DataFolder) -> None:
    outside = folder.path.parent / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(encoded(picture(99)))
    (folder.path / "link.png").symlink_to(outside / "secret.png")
    (folder.path / "linked").symlink_to(outside)
    (folder.path / "broken.png").symlink_to(folder.path / "nothing.png")
    for name in ("link.png", "linked/secret.png", "broken.png"):
        folder.add(name, "alice", None)
    parts = folder.partition()
    found = {(problem.subject, problem.kind) for problem in parts.problems}
    assert {("link.png", "outside-folder"), ("linked", "outside-folder"), ("broken.png", "missing-file")} <= found
    assert ("linked/secret.png", "missing-file") in found
    assert len(found) == len(parts.problems) == 4
    assert len(parts.images) == 12


def test_a_link_inside_the_folder_is_a_duplicate_like_any_other(folder: DataFolder) -> None:
    (folder.path / "link.png").symlink_to(folder.path / "good01.png")
    folder.add("link.png", "alice", None)
    assert only_problem(folder.partition()).kind == "duplicate-within"


def test_a_pipe_is_refused_and_not_waited_for(folder: DataFolder) -> None:
    os.mkfifo(folder.path / "pipe.png")
    folder.add("pipe.png", "alice", None)
    assert only_problem(folder.partition()).kind == "unreadable"


def test_equal_rows_count_once_and_unlike_rows_are_left_out(folder: DataFolder) -> None:
    folder.add("good00.png", "bob", None)
    folder.add("./good01.png", "bob", None)  # alice's
    parts = folder.partition()
    kept, left_out = sorted(problems_of(parts, "repeated-row"), key=lambda problem: problem.subject)
    assert (kept.subject, kept.action) == ("good00.png", "kept")
    assert (left_out.subject, left_out.action) == ("good01.png", "left out")
    assert len(parts.images) == 11


def test_a_date_that_is_none_is_said_and_the_image_kept(folder: DataFolder) -> None:
    folder.add("x.png", "alice", 99, date="last summer")
    parts = folder.partition()
    assert (only_problem(parts).kind, only_problem(parts).action) == ("bad-date", "kept")
    assert next(image for image in parts.images if image.file_name == "x.png").date is None


def test_two_spellings_of_one_name_are_one_contributor_and_said(folder: DataFolder) -> None:
    for number in range(90, 98):
        folder.add(f"{number}.png", "Zo\u00eb" if number % 2 else "Zoe\u0308", number)
    parts = folder.partition()
    assert [contributor.name for contributor in parts.contributors] == ["Zo\u00eb", "alice", "bob"]
    problem = only_problem(parts)
    assert problem.kind == "respelled-name"
    assert (problem.subject, problem.action) == ("Zoe\u0308", "converted")


def test_names_that_differ_by_case_are_two_contributors_and_said(folder: DataFolder) -> None:
    for number in range(6):
        folder.add(f"x{number}.png", "Alice", 90 + number)
    parts = folder.partition()
    assert problems_of(parts, "similar-name")[0].subject == "alice"
    assert [contributor.name for contributor in parts.contributors] == ["Alice", "alice", "bob"]


def test_a_name_with_a_semicolon_is_one_contributor_and_said(folder: DataFolder) -> None:
    for number in range(6):
        folder.add(f"x{number}.png", "carol; dan", 90 + number)
    parts = folder.partition()
    assert only_problem(parts).kind == "semicolon-name"
    assert "carol; dan" in [contributor.name for contributor in parts.contributors]


def test_a_contributor_without_any_usable_image_is_named(folder: DataFolder) -> None:
    folder.add("x.png", "carol", b"broken")
    problem = problems_of(folder.partition(), "empty-contributor")[0]
    assert (problem.subject, problem.action) == ("carol", "left out")


def test_converted_images_are_listed_by_name(folder: DataFolder) -> None:
    folder.add("grey.png", "alice", picture(50, "L"))
    folder.add("wide.png", "bob", picture(51, size=(20, 12)))
    folder.add("tiny.png", "bob", picture(52, size=(4, 4)))
    found = {problem.kind: problem for problem in folder.partition().problems}
    assert found.keys() == {"converted-mode", "cropped", "enlarged"}
    assert found["converted-mode"].subject == "grey.png"
    assert found["cropped"].subject == "bob" and "'wide.png'" in found["cropped"].reason
    assert found["enlarged"].subject == "bob" and "'tiny.png'" in found["enlarged"].reason


def test_documents_and_hidden_files_are_no_data_but_hidden_images_are_reported(folder: DataFolder) -> None:
    for name in ("README.md", "ATTRIBUTION.txt", ".DS_Store", ".cache/state.json"):
        folder.add(name, None, b"text")
    folder.add("._x.png", None, b"text")
    folder.add("notes.doc", None, b"text")
    assert [problem.subject for problem in folder.partition().problems] == ["._x.png", "notes.doc"]


def test_a_single_contributor_is_one_error_that_lists_every_problem(folder: DataFolder) -> None:
    folder.rows = [row for row in folder.rows if row["contributor"] == "bob"]
    folder.add("x.png", "../eve\u202e", b"broken")
    with pytest.raises(DataError, match="only 'bob' has training images") as caught:
        folder.partition()
    assert {problem.kind for problem in caught.value.problems} == {"unlisted-file", "unsafe-name"}
    for problem in caught.value.problems:
        assert problem.reason in str(caught.value)
    assert "\u202e" not in str(caught.value)


def test_nothing_usable_is_one_error(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "broken")
    for row in folder.rows:
        (folder.path / row["file_name"]).write_bytes(b"")
    with pytest.raises(DataError, match="no contributor has training images") as caught:
        folder.partition()
    assert str(caught.value).count("empty-file") == 12


def test_a_missing_folder_is_an_error_and_openmoji_comes_with_its_command(tmp_path: Path, folder: DataFolder) -> None:
    with pytest.raises(DataError, match="no such folder"):
        partition(folder.spec(url=str(tmp_path / "nowhere")), 8)
    with pytest.raises(DataError, match=r"python -m tasks\.partition\.openmoji"):
        partition(folder.spec(url=str(tmp_path / "openmoji")), 8)
    with pytest.raises(DataError, match="no such folder"):
        partition(folder.spec(url=str(folder.path / "good00.png")), 8)
    with pytest.raises(DataError, match="cannot be opened"):
        partition(folder.spec(url="nonsense://bucket"), 8)


# The table as a whole


def _table_error(folder: DataFolder, match: str, **options: str) -> None:
    with pytest.raises(DataError, match=match):
        partition(folder.spec(**options), 8)


def test_missing_columns_name_the_columns_there_are(folder: DataFolder) -> None:
    folder.write_metadata()
    _table_error(folder, r"no column 'contributer'.*\['file_name', 'contributor', 'date'\]; closest: contributor",
                 contributor_column="contributer")  # fmt: skip
    _table_error(folder, "no column 'uploaded'", date_column="uploaded")
    (folder.path / "metadata.csv").write_text("image,contributor\n")
    _table_error(folder, r"no column 'file_name'.*\['image', 'contributor'\]")
    (folder.path / "metadata.csv").write_text("file_name,contributor,contributor\n")
    _table_error(folder, "'contributor' 2 times")
    (folder.path / "metadata.csv").write_text("")
    _table_error(folder, "no column 'file_name'")


def test_two_metadata_files_are_an_error(folder: DataFolder) -> None:
    folder.write_metadata()
    (folder.path / "metadata.jsonl").write_text("{}")
    _table_error(folder, "several metadata files")


def test_a_metadata_file_that_links_out_is_an_error(folder: DataFolder) -> None:
    folder.write_metadata()
    (folder.path / "metadata.csv").rename(folder.path.parent / "elsewhere.csv")
    (folder.path / "metadata.csv").symlink_to(folder.path.parent / "elsewhere.csv")
    _table_error(folder, "leads out of the data folder")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("metadata.csv", "file_name,contributor\na.png,Jörg\n".encode("latin-1"), "not UTF-8"),
        ("metadata.csv", b'file_name,contributor\na.png,"alice', "cannot be read"),
        ("metadata.parquet", b"PAR1 but not really", "cannot be read"),
        ("metadata.jsonl", b"", "no column 'file_name'"),
    ],
)
def test_a_broken_table_is_an_error(name: str, content: bytes, match: str, folder: DataFolder) -> None:
    (folder.path / name).write_bytes(content)
    _table_error(folder, match)


def test_a_csv_row_with_too_many_cells_is_left_out(folder: DataFolder) -> None:
    folder.add("x.png", None, 99)
    folder.write_metadata()
    with (folder.path / "metadata.csv").open("a") as file:
        file.write("x.png,Smith, John,2020-01-01\n")
    parts = partition(folder.spec(), 8)
    assert [problem.kind for problem in parts.problems] == ["bad-row", "unlisted-file"]
    assert parts.problems[0].subject == "metadata.csv line 14"


def test_wrong_types_in_json_rows_are_left_out_one_by_one(folder: DataFolder) -> None:
    bad = [
        "not json", "[1, 2]", "9" * 5000,
        json.dumps({"file_name": 7, "contributor": "alice"}),
        json.dumps({"contributor": "alice"}),
        json.dumps({"file_name": "good00.png", "contributor": ["bob"]}),
        json.dumps({"file_name": "good02.png", "contributor": True}),
        json.dumps({"file_name": "good04.png"}),
        '{"file_name": "\\ud800.png", "contributor": "alice"}',
    ]  # fmt: skip
    good = [
        json.dumps(row) for row in folder.rows if row["file_name"] not in ("good00.png", "good02.png", "good04.png")
    ]
    (folder.path / "metadata.jsonl").write_text("\n".join([*bad, "", *good]))
    parts = partition(folder.spec(), 8)
    kinds = sorted(problem.kind for problem in parts.problems)
    assert kinds == ["bad-row"] * 3 + ["no-file-name", "no-owner", "unsafe-path"] + ["wrong-type"] * 3
    assert len(parts.images) == 9


def test_owners_known_by_number_are_read_from_parquet(folder: DataFolder) -> None:
    table = {"file_name": [row["file_name"] for row in folder.rows], "contributor": [7, 12] * 6, "other": [b"x"] * 12}
    pyarrow.parquet.write_table(pyarrow.table(table), folder.path / "metadata.parquet")
    parts = partition(folder.spec(), 8)
    assert [contributor.name for contributor in parts.contributors] == ["12", "7"]
    assert parts.problems == ()


# Sub-folders as contributors


def test_sub_folders_are_contributors_and_what_lies_deeper_is_theirs(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / ("alice" if number % 2 else "bob:0.5") / ("deep/er" if number > 6 else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(number)))
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "stray.png").write_bytes(encoded(picture(50)))
    parts = partition(DataFolder(tmp_path / ".scratch").spec(url=str(tmp_path)), 8)
    assert [contributor.name for contributor in parts.contributors] == ["alice", "bob:0.5"]  # a name as it stands
    assert {problem.kind: problem.subject for problem in parts.problems if "scratch" not in problem.subject} == {
        "no-owner": "stray.png",
        "empty-contributor": "empty",
    }


def test_a_sub_folder_with_an_unsafe_name_is_refused(folder: DataFolder) -> None:
    for row in list(folder.rows):
        target = folder.path / row["contributor"] / row["file_name"]
        target.parent.mkdir(exist_ok=True)
        (folder.path / row["file_name"]).rename(target)
    folder.add("eve\u202e/x.png", None, 99)
    parts = partition(folder.spec(), 8)
    assert (only_problem(parts).kind, only_problem(parts).subject) == ("unsafe-name", "eve\u202e")
    assert not any("eve" in name for name in names_in(parts))


def test_metadata_in_sub_folders_only_is_an_error_not_a_contributor(folder: DataFolder) -> None:
    folder.add("train/metadata.csv", None, b"file_name,contributor\n")
    _table_error(folder, "no metadata file at its top.*'train/metadata.csv'")
