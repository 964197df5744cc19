"""Presets: a mistake is answered with the file and the field it is in, never with a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.study_file import StudyFileError, load_preset
from tasks.study import Study

PRESETS = sorted((Path(__file__).parents[2] / "deployments/studies").glob("*.yaml"))


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nmodel:\n  resolution: 32\ncoalition:\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_the_presets_that_we_ship_are_studies(path: Path) -> None:
    assert load_preset(path, Study).name


def test_there_are_presets() -> None:
    assert PRESETS


def test_changes_are_laid_over_the_file_in_order(preset: Path) -> None:
    preset.write_text("name: mine\nmodel:\n  resolution: 32\n", encoding="utf-8")
    changes = ("coalition.seed=3", "model.learning_rate=1e-3", "name=other", "data.only=[a, b]", "coalition.seed=4")
    study = load_preset(preset, Study, changes)
    assert (study.name, study.model.resolution, study.model.learning_rate) == ("other", 32, 1e-3)
    assert (study.coalition.seed, study.data.only) == (4, ["a", "b"])


def test_a_heading_with_nothing_below_it_can_be_filled_by_a_change(preset: Path) -> None:
    assert load_preset(preset, Study, ["coalition.seed=7"]).coalition.seed == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name: mine\nmodel: {resolutoin: 16}\n", r"- model\.resolutoin: "),
        (
            "name: mine\nmodel: {resolution: big}\nestimation: {budget: 1}\n",
            r"(?s)- model\.resolution: .*- estimation\.budget: ",
        ),
        ("name: ../evil\n", r"- name: .*lower case letters"),
        ("model: {channels: [8, 15], norm_groups: 4}\n", r"- model: .*not divisible"),
        ("model: {channels: [8, 12], norm_groups: 4, attention_levels: [1]}\n", r"attention_head_dim 8"),
        ("model: {beta_start: 0.1}\n", r"beta_start 0\.1 is larger"),
        ("coalition: {seed: 1, audit_seeds: [1]}\n", r"- study: .*audit_seeds must differ"),
        ("- a\n- b\n", "must hold fields of a study, not list"),
        ("", "is empty"),
        ("name: [unclosed\n", "is not YAML"),
        ("a: !!python/object/apply:os.system [id]\n", "is not YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name_and_field(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StudyFileError, match=said) as error:
        load_preset(path, Study)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_answered_with_those_that_are(preset: Path) -> None:
    with pytest.raises(StudyFileError, match=r"there is no .*yours\.yaml; in .* there are: mine\.yaml"):
        load_preset(preset.with_name("yours.yaml"), Study)


def test_a_folder_or_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfa")
    for path in (tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(StudyFileError, match="cannot be read") as error:
            load_preset(path, Study)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("coalition.seed", "is not a change"),
        ("=3", "is not a change"),
        ("name.x=3", "name is not a section"),
        ("coalition.seed=[1", "the value is not YAML"),
        ("coalition.seed=-1", r"coalition\.seed: "),
        ("coalition.sed=1", r"coalition\.sed: "),
    ],
)
def test_a_wrong_change_is_quoted(preset: Path, change: str, said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        load_preset(preset, Study, [change])
