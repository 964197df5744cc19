"""Words that pass for other words: formulas, names drawn like another's, and files of a study that are none."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.study_file import StudyFileError, load_preset
from tasks.partition.names import looks
from tasks.publish import statement_files, text
from tasks.study import Study
from tests.partition.conftest import DataFolder, folder, problems_of
from tests.publish.building import NAMES, build

__all__ = ["folder"]  # a fixture
SIGNS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
BEGINNINGS = st.sampled_from([*SIGNS, "'", "''", " ", "\u200d", "\u3000", "a", ""])


@given(st.lists(BEGINNINGS, max_size=4).map("".join), st.text(max_size=5))
def test_no_cell_begins_like_a_formula_and_the_name_can_be_had_back(begins: str, rest: str) -> None:
    name = text.storable(begins + rest)
    cell = text.csv_cell(name)
    assert not cell.lstrip().startswith(tuple(SIGNS)) or cell.lstrip()[:1] == ""
    undone = cell[1:] if re.match(rf"'+[\s\u200c\u200d]*[{re.escape(SIGNS)}]", cell) else cell
    assert undone == name


def test_no_name_is_parted_where_cells_are_parted_at_another_character() -> None:
    evil = ("Studio;=1+2", 'Studio";=1+2', "Studio\t=1+2")
    table = statement_files(build((*evil, *NAMES[3:])))["credits.csv"].decode()
    for parted_at in ",;\t|":
        for row in csv.reader(io.StringIO(table), delimiter=parted_at):
            assert not any(cell.lstrip().startswith(("=", "+", "@")) for cell in row), (parted_at, row)
    assert [row["contributor"] for row in csv.DictReader(io.StringIO(table))][:3] == list(evil)


@pytest.mark.parametrize("name", ["'t Hooft", "O'Neil", "a=b", "Anna-Maria", "3 + 4"])
def test_names_of_people_are_left_as_they_are(name: str) -> None:
    assert text.csv_cell(name) == name


@pytest.mark.parametrize(
    "other",
    ["Emily J\u00e4g\u0435r", "\u0415mily J\u00e4ger", "EMILY J\u00c4GER", "Emily\ufe0f J\u00e4ger", "\uff25mily J\u00e4ger",
     "Em\u0131ly J\u00e4ger", "Emily\u200d J\u00e4ger"],
)  # fmt: skip
def test_a_name_drawn_like_anothers_is_said(other: str, folder: DataFolder) -> None:
    for number, owner in enumerate(["Emily J\u00e4ger"] * 6 + [other] * 6):
        folder.add(f"x{number}.png", owner, 50 + number)
    (problem,) = problems_of(folder.partition(), "similar-name")
    assert problem.action == "kept" and problem.reason.isprintable()
    assert len(folder.partition().contributors) == 4


@pytest.mark.parametrize(
    "other", ["Emily Jager", "Emil J\u00e4ger", "\u5c71\u7530 \u82b1\u5b50", "\u0415\u043b\u0435\u043d\u0430"]
)
def test_other_names_are_no_look_alikes(other: str) -> None:
    assert looks(other) != looks("Emily J\u00e4ger")


def test_marks_that_are_not_drawn_are_written_out_but_where_they_choose_a_glyph() -> None:
    assert text.visible("Ann\ufe0f") == "Ann⟨U+FE0F⟩" and text.visible("A\u034fnn") == "A⟨U+034F⟩nn"
    for name in ("\u2764\ufe0f", "\u845b\U000e0100\u57ce"):
        assert text.visible(name) == name


# Found by the fuzz test: what PyYAML lets through of its own errors


@pytest.mark.parametrize(
    "content",
    [
        "name: 2001-99-99", "name: 0b_", "name: " + "[" * 3000, "{a: " * 1500, "a: !!timestamp x", "a: !!int 'x'",
        "name: " + "9" * 5000, "a: !!binary '%%'", "\x00", "!!python/object/apply:os.system ['true']", "\x1b[31m: 1",
        'name: "\\e[31m"', "? [1]\n: 2", "a: &a [*a]", 'data: {"\\u202e": 1}',
    ],
    ids=str.__len__,
)  # fmt: skip
def test_a_file_that_is_no_study_is_one_error_that_a_terminal_can_show(content: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(content)
    with pytest.raises(StudyFileError, match=re.escape(str(path))) as caught:
        load_preset(path, Study)
    assert all(line.isprintable() for line in str(caught.value).split("\n")) and len(str(caught.value)) < 20_000


def test_a_study_of_ten_thousand_wrong_fields_lists_some(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("\n".join(f"x{n}: 1" for n in range(10_000)))
    with pytest.raises(StudyFileError, match="more") as caught:
        load_preset(path, Study)
    assert str(caught.value).count("\n") < 60
