"""The demo's second act: who was there first is read from the real dates."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.demo_join import UNTIL, cohorts, with_only
from infra.study_file import load_preset
from tasks.partition.openmoji import convert
from tasks.study import Study


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
