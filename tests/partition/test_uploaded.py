"""Uploads as a study's data: whose the images are, what is refused by name, and that nobody speaks for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.names import key_part
from infra.opt_outs import opted_out
from infra.store import Store
from infra.upload import hand_in, prepare
from infra.uploads import Upload
from tasks.opt_out.remove import opt_out
from tasks.partition import DataError, Partition, attribution, partition
from tasks.study import DataSpec
from tests.partition.conftest import encoded, names_in, picture, problems_of

ALICE, BOB = "Alice Äpfel", "Bob"


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The study's own store, with two uploads of six images each."""
    url = request.getfixturevalue("s3_url") if request.param == "s3" else str(tmp_path / "store")
    monkeypatch.setenv("CREDIT_STORE", url)
    store = Store(url)
    uploads(store, tmp_path, ALICE, {f"{n}.png": n for n in range(6)})
    uploads(store, tmp_path, BOB, {f"{n}.png": n + 100 for n in range(6)})
    return store


def uploads(store: Store, scratch: Path, contributor: str, files: dict[str, int | str | bytes]) -> Upload:
    """Hand files in by the code of the upload command; a number makes a picture of its own."""
    folder = scratch / f"of {contributor} {len(list(scratch.iterdir()))}"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            content = encoded(picture(content))
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    upload, paths = prepare(folder, contributor, "spring")
    hand_in(upload, paths, store)
    return upload


def spec(**options: object) -> DataSpec:
    chosen = {"url": "uploads:spring", "minimum_images": 1, "small_contributors": "keep"} | options
    return DataSpec.model_validate(chosen)


def parts() -> Partition:
    return partition(spec(), 8)


def owned(found: Partition) -> dict[str, float]:
    """Images by name, held-out ones too."""
    return {c.name: c.images + c.heldout for c in found.contributors}


def test_every_image_belongs_to_whoever_handed_it_in_and_documents_are_passed_over(
    store: Store, tmp_path: Path
) -> None:
    uploads(store, tmp_path, BOB, {"README.md": "hello", "sub/more.png": 200, "LICENSE": "mine"})
    found = parts()
    assert owned(found) == {ALICE: 6, BOB: 7}
    assert not found.problems


def test_the_same_images_in_a_folder_are_the_same_data(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for owner, first in ((ALICE, 0), (BOB, 100)):
        for n in range(6):
            (folder / owner).mkdir(parents=True, exist_ok=True)
            (folder / owner / f"{n}.png").write_bytes(encoded(picture(first + n)))
    by_folder, by_upload = partition(spec(url=str(folder)), 8), parts()
    assert by_folder.contributors == by_upload.contributors
    assert by_folder.train_digests == by_upload.train_digests
    assert (by_folder.train_pixels == by_upload.train_pixels).all()


def test_uploads_add_up_and_equal_names_in_two_of_them_do_not_meet(store: Store, tmp_path: Path) -> None:
    second = uploads(store, tmp_path, ALICE, {"0.png": 50, "1.png": 51})
    found = parts()
    assert owned(found)[ALICE] == 8
    assert f"{key_part(ALICE)}/{second.digest[:12]}/0.png" in names_in(found)
    assert len(names_in(found)) == 14


def test_a_folder_handed_in_again_with_one_more_image_does_not_count_double(store: Store, tmp_path: Path) -> None:
    uploads(store, tmp_path, ALICE, {f"{n}.png": n for n in range(7)})
    found = parts()
    assert owned(found)[ALICE] == 7
    (problem,) = problems_of(found, "handed-in-again")
    assert "6 files" in problem.reason and ALICE in problem.reason


def test_equal_files_within_one_upload_count_as_in_a_folder(store: Store, tmp_path: Path) -> None:
    uploads(store, tmp_path, "Carol", {"a.png": 300, "b.png": 300, "c.png": 301, "d.png": 302})
    assert owned(parts())["Carol"] == 4


def test_a_table_may_give_dates_and_shares_beside_the_uploaders_own(store: Store, tmp_path: Path) -> None:
    table = f"file_name,contributor,date\na.png,{ALICE}:0.7;{BOB}:0.3,2024-05-01\nb.png,,2023\n"
    uploads(store, tmp_path, ALICE, {"a.png": 60, "b.png": 61, "metadata.csv": table})
    found = parts()
    images = {image.file_name.rpartition("/")[2]: image for image in found.images if image.date}
    assert images["a.png"].shares == ((ALICE, pytest.approx(0.7)), (BOB, pytest.approx(0.3)))
    assert images["a.png"].date == "2024-05-01" and images["b.png"].shares == ((ALICE, 1.0),)


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("metadata.csv", "file_name\na.png\n"),
        ("metadata.jsonl", '{"file_name": "a.png"}\n'),
    ],
)
def test_a_table_of_file_names_alone_is_enough(table: str, rows: str, store: Store, tmp_path: Path) -> None:
    uploads(store, tmp_path, ALICE, {"a.png": 62, table: rows})
    assert owned(parts())[ALICE] == 7


@pytest.mark.parametrize("owners", [BOB, f"{BOB}:0.5;Carol:0.5"])
def test_nobody_puts_images_into_anothers_name(owners: str, store: Store, tmp_path: Path) -> None:
    table = f"file_name,contributor\na.png,{owners}\nb.png,{ALICE}\n"
    uploads(store, tmp_path, ALICE, {"a.png": 63, "b.png": 64, "metadata.csv": table})
    found = parts()
    assert owned(found) == {ALICE: 7, BOB: 6}
    (problem,) = problems_of(found, "others-name")
    assert "a.png" in problem.subject and repr(ALICE) in problem.reason and problem.action == "left out"


def test_a_contributors_name_that_looks_like_shares_gives_nobody_else_anything(store: Store, tmp_path: Path) -> None:
    name = f"{BOB}:0.5;Mallory:0.5"
    uploads(store, tmp_path, name, {"a.png": 65, "b.png": 66, "c.png": 67, "d.png": 68})
    table = f"file_name,contributor\ne.png,{name}\n"
    uploads(store, tmp_path, name, {"e.png": 69, "metadata.csv": table})
    assert owned(parts()) == {ALICE: 6, BOB: 6, name: 5}


def test_a_damaged_table_stands_in_nobody_elses_way(store: Store, tmp_path: Path) -> None:
    uploads(store, tmp_path, "Carol", {"a.png": 70, "metadata.csv": "name\na.png\n"})
    uploads(store, tmp_path, "Dora", {"a.png": 71, "metadata.parquet": b"PAR1 and nothing"})
    found = parts()
    assert owned(found) == {ALICE: 6, BOB: 6}
    reasons = [problem.reason for problem in problems_of(found, "bad-metadata")]
    assert "'Carol'" in reasons[0] + reasons[1] and "no column 'file_name'" in reasons[0] + reasons[1]
    assert {problem.subject for problem in problems_of(found, "empty-contributor")} == {"Carol", "Dora"}


def test_refused_and_unfinished_uploads_are_problems(store: Store, tmp_path: Path) -> None:
    liar = uploads(store, tmp_path, "Carol", {"a.png": 72, "b.png": 73})
    store.delete(liar.key(liar.files[0]))
    unfinished = uploads(store, tmp_path, "Dora", {"a.png": 74})
    store.delete(f"{unfinished.folder}/complete.json")
    found = parts()
    assert owned(found) == {ALICE: 6, BOB: 6}
    (refused,) = problems_of(found, "refused-upload")
    assert refused.subject == liar.folder and "not there" in refused.reason
    (begun,) = problems_of(found, "unfinished-upload")
    assert begun.subject == unfinished.folder and "the same command again" in begun.reason


def test_bytes_that_are_not_what_was_handed_in_are_left_out(store: Store, tmp_path: Path) -> None:
    upload = uploads(store, tmp_path, "Carol", {"a.png": 75, "b.png": 76, "ATTRIBUTION.txt": "by Carol"})
    assert attribution(spec()) == "by Carol"
    for file in upload.files[:2]:
        other = store.read(upload.key(file))[::-1]  # as long as it should be
        store.write(upload.key(file), other)
    found = parts()
    (damaged,) = problems_of(found, "damaged")
    assert "a.png" in damaged.subject and "'Carol'" in damaged.reason
    assert "not what 'Carol' handed in" in attribution(spec())


def test_a_collection_without_an_upload_says_which_there_are_and_how_to_hand_in(store: Store) -> None:
    with pytest.raises(DataError, match=r"other collections: spring.*--collection autumn"):
        partition(spec(url="uploads:autumn"), 8)
    with pytest.raises(DataError, match="is no collection"):
        partition(spec(url="uploads:../x"), 8)


def test_one_in_only_whose_uploads_went_with_their_opting_out_is_left_out_and_stops_nobody(
    store: Store, tmp_path: Path
) -> None:
    uploads(store, tmp_path, "Carol", {f"{n}.png": n + 200 for n in range(6)})
    only = [ALICE, BOB, "Carol"]
    assert [c.name for c in partition(spec(only=only), 8).contributors] == only
    opt_out(store, "Carol", "her letter", "a test", lambda text: None)
    found = partition(spec(only=only), 8, opted_out=opted_out(store))
    assert [c.name for c in found.contributors] == [ALICE, BOB]
    assert [problem.subject for problem in problems_of(found, "opted-out")] == ["Carol"]
