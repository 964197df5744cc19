"""Prompts from the metadata of folders and uploads: a row of the data is then pixels with a prompt."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.numpy

from infra.store import Store
from tasks.opt_out.remove import opt_out
from tasks.partition import DataError, Partition, partition
from tasks.partition.prompts import prompts_of
from tasks.recipe import data_recipe
from tests.partition.conftest import DataFolder, encoded, only_problem, picture, problems_of
from tests.partition.test_uploaded import ALICE, BOB, spec, uploads


class Told(DataFolder):
    """A folder whose rows have prompts; those of the first twelve images are of two kinds."""

    def __init__(self, path: Path, column: str = "prompt") -> None:
        self.column = column
        super().__init__(path)
        for number, row in enumerate(self.rows):
            row[column] = f"a picture of kind {number % 2}"

    def tell(self, name: str, owner: str, content: int | None, prompt: str) -> None:
        self.add(name, owner, content)
        self.rows[-1][self.column] = prompt

    def write_metadata(self) -> None:
        with (self.path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["file_name", "contributor", "date", self.column])
            writer.writeheader()
            writer.writerows(self.rows)

    def told(self, **options: object) -> Partition:
        self.write_metadata()
        return partition(self.spec(**options), 8, prompts=True)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "data")


def check_rows(parts: Partition) -> None:
    """Digests, pixels, prompts and ownership are aligned, whatever was put together from what."""
    assert (len(parts.train_prompts), len(parts.heldout_prompts)) == (
        len(parts.train_digests),
        len(parts.heldout_digests),
    )
    for digests, prompts, heldout in (
        (parts.train_digests, parts.train_prompts, False),
        (parts.heldout_digests, parts.heldout_prompts, True),
    ):
        assert list(digests) == sorted({image.key for image in parts.images if image.heldout == heldout})
        prompt_of = {image.key: image.prompt for image in parts.images}
        assert prompts == tuple(prompt_of[key] for key in digests)
    assert np.allclose(parts.ownership.sum(axis=0), [contributor.images for contributor in parts.contributors])


def test_each_row_has_the_pixels_and_the_prompt_of_one_image(told: Told) -> None:
    parts = told.told()
    assert not parts.problems
    check_rows(parts)
    plain = told.partition()
    there = dict(
        zip((*plain.train_digests, *plain.heldout_digests), (*plain.train_pixels, *plain.heldout_pixels), strict=True)
    )
    keys = (*parts.train_digests, *parts.heldout_digests)
    pixels, prompts = (*parts.train_pixels, *parts.heldout_pixels), (*parts.train_prompts, *parts.heldout_prompts)
    assert len(keys) == len(parts.images) == 12
    for image in parts.images:
        row = keys.index(image.key)
        assert prompts[row] == image.prompt == f"a picture of kind {int(image.file_name[4:6]) % 2}"
        assert np.array_equal(pixels[row], there[image.digest])


def test_without_prompts_a_column_of_them_changes_nothing(told: Told) -> None:
    with_prompts = told.told()
    told.rows[3]["prompt"] = ""
    without = told.partition()
    for row in told.rows:
        del row["prompt"]
    DataFolder.write_metadata(told)
    plain = partition(told.spec(), 8)
    assert without.contributors == plain.contributors and without.images == plain.images
    assert without.problems == plain.problems == ()
    assert set(without.stored()) == set(plain.stored()) == {"train_pixels", "heldout_pixels"}
    assert data_recipe(without, 8).key == data_recipe(plain, 8).key != data_recipe(with_prompts, 8).key
    assert {c.fingerprint for c in plain.contributors}.isdisjoint(c.fingerprint for c in with_prompts.contributors)


def test_equal_pixels_with_other_prompts_are_rows_of_their_own_with_owners_of_their_own(told: Told) -> None:
    for name, owner, prompt in (
        ("x.png", "alice", "a cat"),
        ("y.png", "bob", "a dog"),
        ("z.png", "bob", " a\u200b  cat "),  # the same prompt as alice's, once it is normalised
    ):
        told.tell(name, owner, 500, prompt)
    parts = told.told(heldout_fraction=1e-9)
    check_rows(parts)
    assert len(parts.train_digests) == 12 + 2
    rows = {parts.train_prompts[row]: parts.ownership[row].tolist() for row in range(14)}
    assert rows["a cat"] == [1, 1] and rows["a dog"] == [0, 1]
    one, other = (parts.train_pixels[parts.train_prompts.index(prompt)] for prompt in ("a cat", "a dog"))
    assert np.array_equal(one, other)
    assert [problem.subject for problem in problems_of(parts, "duplicate-across")] == ["y.png", "z.png"]
    assert [c.images for c in parts.contributors] == [7, 8]


def test_equal_pixels_are_held_out_together_whatever_their_prompts(told: Told) -> None:
    for number in range(20):
        for copy in range(3):
            told.tell(f"{number}-{copy}.png", "alice", 600 + number, f"prompt {copy}")
    parts = told.told(heldout_fraction=0.5)
    check_rows(parts)
    sides: dict[str, set[bool]] = {}
    for image in parts.images:
        sides.setdefault(image.digest, set()).add(image.heldout)
    assert all(len(side) == 1 for side in sides.values())
    assert len(parts.heldout_digests) > len({i.digest for i in parts.images if i.heldout}) > 0


def test_an_edited_prompt_is_a_changed_contributor_and_nobody_elses_matter(told: Told) -> None:
    before = told.told(heldout_fraction=1e-9)
    told.rows[1]["prompt"] = "something else"  # alice's
    after = told.told(heldout_fraction=1e-9)
    (alice, bob), (alice_later, bob_later) = before.contributors, after.contributors
    assert alice.fingerprint != alice_later.fingerprint and bob == bob_later
    assert len(set(before.train_digests) - set(after.train_digests)) == 1


BAD = {
    "": ("no-prompt", "is missing"),
    " \u200b ": ("no-prompt", "shows no character"),
    "x" * 1001: ("long-prompt", "1,001 characters"),
}


@pytest.mark.parametrize("prompt", BAD)
def test_an_image_without_a_usable_prompt_is_left_out_by_name_with_the_reason(prompt: str, told: Told) -> None:
    told.tell("x.png", "alice", 99, prompt)
    problem = only_problem(told.told())
    kind, words = BAD[prompt]
    assert (problem.subject, problem.kind, problem.action) == ("x.png", kind, "left out")
    assert "metadata.csv line 14" in problem.reason and words in problem.reason


def test_what_was_changed_in_prompts_is_said_once_a_table(told: Told) -> None:
    told.tell("x.png", "alice", 98, "a \x07 cat")
    told.tell("y.png", "alice", 99, "ka\u0308se")
    told.tell("z.png", "alice", 97, " a cat ")  # space around a cell is nobody's wording
    problem = only_problem(told.told())
    assert (problem.kind, problem.action) == ("respelled-prompt", "converted")
    assert "2 images" in problem.reason and "'x.png', 'y.png'" in problem.reason


def test_a_missing_column_names_the_file_its_columns_and_the_closest(tmp_path: Path) -> None:
    captioned = Told(tmp_path / "data", column="captions")
    captioned.write_metadata()
    columns = r"\['file_name', 'contributor', 'date', 'captions'\]; closest: captions"
    with pytest.raises(DataError, match=rf"metadata.csv has no column 'caption' \(data.prompt_column.*{columns}"):
        partition(captioned.spec(prompt_column="caption"), 8, prompts=True)
    assert captioned.told(prompt_column="captions").train_prompts
    assert partition(captioned.spec(prompt_column="caption"), 8).train_digests  # nobody asked for it


def test_a_folder_without_a_table_has_no_prompts_and_says_so(tmp_path: Path) -> None:
    for owner in ("alice", "bob"):
        (tmp_path / owner).mkdir()
        (tmp_path / owner / "x.png").write_bytes(encoded(picture(len(owner))))
    with pytest.raises(DataError, match=r"no metadata file.*takes prompts"):
        partition(spec(url=str(tmp_path)), 8, prompts=True)


def test_a_file_listed_twice_with_two_prompts_is_left_out(told: Told) -> None:
    told.rows.append(told.rows[0] | {"prompt": "something else"})
    problem = only_problem(told.told())
    assert (problem.subject, problem.kind, problem.action) == ("good00.png", "repeated-row", "left out")
    assert "prompts" in problem.reason
    assert only_problem(told.partition()).action == "kept"  # where no model takes them, they are no difference


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_tables_give_the_same_rows(kind: str, told: Told) -> None:
    by_csv = told.told()
    (told.path / "metadata.csv").unlink()
    if kind == "jsonl":
        lines = [json.dumps(row) for row in told.rows]
        (told.path / "metadata.jsonl").write_text("\n".join(lines))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(told.rows), told.path / "metadata.parquet")
    found = partition(told.spec(), 8, prompts=True)
    assert (found.contributors, found.train_digests, found.train_prompts) == (
        by_csv.contributors,
        by_csv.train_digests,
        by_csv.train_prompts,
    )


def test_a_prompt_that_is_no_text_costs_its_image_only(told: Told) -> None:
    rows: list[dict[str, object]] = [dict(row) for row in told.rows]
    rows[0]["prompt"], rows[1]["prompt"] = {"a": "cat"}, "\ud83d"
    (told.path / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    found = partition(told.spec(), 8, prompts=True)
    assert [(p.subject, p.kind) for p in found.problems] == [("good00.png", "no-prompt"), ("good01.png", "bad-prompt")]
    assert len(found.images) == 10
    json.dumps([p.reason for p in found.problems]).encode()


# Uploads


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two uploads with tables of their own."""
    monkeypatch.setenv("CREDIT_STORE", str(tmp_path / "store"))
    store = Store(str(tmp_path / "store"))
    for owner, first in ((ALICE, 0), (BOB, 100)):
        hand_in(store, tmp_path, owner, {f"{n}.png": (first + n, f"by number {n}") for n in range(6)})
    return store


def hand_in(store: Store, scratch: Path, owner: str, images: dict[str, tuple[int, str]], column: str = "prompt") -> str:
    rows = "".join(f"{name},{prompt}\n" for name, (_, prompt) in images.items())
    files: dict[str, int | str | bytes] = {name: number for name, (number, _) in images.items()}
    return uploads(store, scratch, owner, files | {"metadata.csv": f"file_name,{column}\n{rows}"}).folder


def told_by_uploads() -> Partition:
    return partition(spec(heldout_fraction=1e-9), 8, prompts=True)


def test_prompts_of_uploads_come_from_their_own_tables(store: Store) -> None:
    found = told_by_uploads()
    check_rows(found)
    assert sorted(found.train_prompts) == sorted(f"by number {n}" for n in range(6) for _ in range(2))
    assert not [p for p in found.problems if p.kind != "no-heldout"]


def test_an_upload_without_prompts_is_a_problem_of_its_own(store: Store, tmp_path: Path) -> None:
    uploads(store, tmp_path, "Carol", {"a.png": 300, "b.png": 301})
    other = hand_in(store, tmp_path, "Dora", {"a.png": (302, "a cat")}, column="promt")
    found = told_by_uploads()
    assert [c.name for c in found.contributors] == [ALICE, BOB]
    (without,), (bad,) = problems_of(found, "no-prompt"), problems_of(found, "bad-metadata")
    assert "'Carol'" in without.reason and "a.png" in without.reason and without.action == "left out"
    assert bad.subject == other and "no column 'prompt'" in bad.reason and "closest: promt" in bad.reason


def test_a_file_handed_in_again_with_another_prompt_is_another_row_and_with_the_same_it_counts_once(
    store: Store, tmp_path: Path
) -> None:
    again = {"0.png": (0, "by number  0"), "1.png": (1, "something else")}
    hand_in(store, tmp_path, ALICE, again)
    found = told_by_uploads()
    assert dict((c.name, c.images) for c in found.contributors)[ALICE] == 7
    (problem,) = problems_of(found, "handed-in-again")
    assert "1 files" in problem.reason and "0.png" in problem.reason


def test_whoever_opted_out_is_left_out_with_their_prompts(store: Store, tmp_path: Path) -> None:
    hand_in(store, tmp_path, "Carol", {f"{n}.png": (200 + n, "by carol") for n in range(3)})
    assert "by carol" in told_by_uploads().train_prompts
    opt_out(store, "Carol", "her letter", "a test", lambda text: None)
    assert "by carol" not in told_by_uploads().train_prompts


# In the store


def test_prompts_come_back_from_the_store_as_they_went_in(told: Told) -> None:
    told.tell("x.png", "alice", 99, 'say "ä" \\ 日本 👩\u200d🎨')
    parts = told.told()
    arrays = safetensors.numpy.load(safetensors.numpy.save(parts.stored()))
    assert prompts_of(arrays, "train") == parts.train_prompts
    assert prompts_of(arrays, "heldout") == parts.heldout_prompts
    assert prompts_of(told.partition().stored(), "train") == ()
