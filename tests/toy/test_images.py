"""What the toy models are taught: nobody's images who plays in the studies."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from tasks.partition.images import decode
from tasks.partition.openmoji import prompt_of
from tasks.toy import PLAYERS, ToyError
from tasks.toy.images import read_lessons
from tests.toy.conftest import OTHERS, PLAYER

STUDY = Path(__file__).parents[2] / "deployments" / "studies" / "openmoji.yaml"


def _digests(folder: Path, numbers: range) -> set[str]:
    files = [folder / "images" / f"{number}.png" for number in numbers]
    return {decode(file.read_bytes(), file.name, resolution=8, maximum_megapixels=1).digest for file in files}


def test_players_images_are_not_in_the_training_set_not_even_as_somebody_elses(drawings: Path) -> None:
    lessons = read_lessons(drawings, [PLAYER], 16)
    assert set(lessons.digests) == _digests(drawings, range(4, 12)) - _digests(drawings, range(0, 4))
    assert len(lessons.prompts) == len(lessons.pixels) == 7  # of eight, as one equals a player's
    assert lessons.twins == 1
    assert not any("Polly" in prompt for prompt in lessons.prompts)


def test_prompts_stay_with_their_images(drawings: Path) -> None:
    lessons = read_lessons(drawings, OTHERS, 16)
    assert sorted(lessons.prompts) == [f"an emoji of Polly: number {i}" for i in range(1, 4)]
    for digest, prompt in zip(lessons.digests, lessons.prompts, strict=True):
        number = int(prompt[-1])
        assert {digest} == _digests(drawings, range(number, number + 1))


def test_the_players_are_those_of_the_studies() -> None:
    assert tuple(yaml.safe_load(STUDY.read_text(encoding="utf-8"))["data"]["only"]) == PLAYERS


def test_prompts_are_made_of_group_and_subgroup_where_the_table_has_none(drawings: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(drawings / "images")
    row = {"file_name": "images/5.png", "contributor": "Olga Other", "group": "food-drink", "subgroup": "dishware"}
    with (tmp_path / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    assert read_lessons(tmp_path, [], 16).prompts == (prompt_of(row),)


def test_an_unknown_player_lists_the_closest_and_everybody_left_out_is_an_error(drawings: Path) -> None:
    with pytest.raises(ToyError, match=r"'Poly Player' \(closest: Polly Player"):
        read_lessons(drawings, ["Poly Player"], 16)
    with pytest.raises(ToyError, match="nothing to learn from"):
        read_lessons(drawings, [PLAYER, *OTHERS], 16)


def test_a_folder_without_a_usable_table_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ToyError, match=r"python -m tasks\.partition\.openmoji"):
        read_lessons(tmp_path, [], 16)
    (tmp_path / "metadata.csv").write_text("file_name,contributor\na.png,me\n")
    with pytest.raises(ToyError, match="prompt or group and subgroup"):
        read_lessons(tmp_path, [], 16)
    (tmp_path / "metadata.csv").write_text("file_name,contributor,prompt\na.png,me,x\n")
    with pytest.raises(ToyError, match=r"a\.png cannot be read"):
        read_lessons(tmp_path, [], 16)
    (tmp_path / "metadata.csv").write_text("file_name,contributor,prompt\na.png,me\n")
    with pytest.raises(ToyError, match=r"'a\.png' has too few cells"):
        read_lessons(tmp_path, [], 16)


def test_an_image_without_a_prompt_is_named(drawings: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(drawings / "images")
    (tmp_path / "metadata.csv").write_text("file_name,contributor,prompt\nimages/5.png,me,  \n")
    with pytest.raises(ToyError, match=r"the prompt of 'images/5\.png' .*shows no character"):
        read_lessons(tmp_path, [], 16)
