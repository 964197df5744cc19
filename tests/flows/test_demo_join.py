"""The demo's second act: who was there first is read from the real dates."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.demo_join import UNTIL, _play, cohorts, with_only
from infra.store import Store
from infra.study_file import load_preset
from tasks.partition.openmoji import convert
from tasks.statements.read import all_statements
from tasks.study import Study
from tests.flows.reading import models
from tests.small import DESIGNERS, small_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The demo's, on its designers' images."""
    demo = load_preset(Path("deployments/studies/openmoji.yaml"), Study)
    folder = tmp_path_factory.mktemp("data") / "openmoji"
    convert(folder, contributors=demo.data.only, size=32, say=lambda _: None)
    return demo.model_copy(update={"data": demo.data.model_copy(update={"url": str(folder)})})


def test_five_designers_of_the_demo_were_there_first_and_three_came_later(study: Study) -> None:
    first, later = cohorts(study, UNTIL)
    assert later == ["Alexander Müller", "Crystal Moon", "Liz Bravo"]
    assert sorted([*first, *later]) == sorted(study.data.only)


def test_a_date_before_or_after_everybody_is_refused(study: Study) -> None:
    for until in ("1990-01-01", "2090-01-01"):
        with pytest.raises(ValueError, match="choose another --until"):
            cohorts(study, until)


def test_a_smaller_cohort_has_a_budget_of_its_coalitions(study: Study) -> None:
    first, later = cohorts(study, UNTIL)
    assert with_only(study, first).estimation.budget == 32
    assert with_only(study, [*first, *later]).estimation.budget == study.estimation.budget


def test_both_acts_and_the_comparison_and_played_again_it_only_compares(
    data: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    small = small_study(data, properties={"names": ["heldout_loss"], "heldout_timesteps": 3})
    small = small.model_copy(update={"data": small.data.model_copy(update={"only": list(DESIGNERS)})})
    first, later = cohorts(small, UNTIL)
    assert later == ["Crystal Moon"]
    assert _play(small, first, later) == 0
    said = capsys.readouterr().out
    assert "Act 1: Emily Jäger, Ferdinand Sorg and Sofie Ascherl were there first" in said
    assert "for 1 who joined, instead of 18" in said and said.count("heldout_loss ") == 3
    assert [s.epoch for s in all_statements(store, "small-join")] == [1, 1, 1]
    before = models(store)
    assert _play(small, first, later) == 0
    again = capsys.readouterr().out
    assert "Act" not in again and again.count("heldout_loss ") == 3 and models(store) == before
    assert len(all_statements(store, "small-join")) == 3
