"""The form of the estimation: what contradicts itself is refused with words that help."""

from typing import get_args

import pytest
from pydantic import ValidationError

from tasks.estimator_facts import ESTIMATOR_FACTS, EstimatorName
from tasks.shapley.estimators import ESTIMATORS
from tasks.study import EstimationSpec


def test_every_estimator_on_the_form_is_in_the_library_with_its_facts_and_the_other_way_round() -> None:
    assert list(get_args(EstimatorName)) == list(ESTIMATOR_FACTS) == list(ESTIMATORS)


def test_two_stop_rules_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"estimation\.stop_width and estimation\.stop_top are set"):
        EstimationSpec(stop_width=0.1, stop_top=3)


@pytest.mark.parametrize("rule", [{"stop_width": 0.1}, {"stop_relative_width": 0.1}, {"stop_top": 3}])
def test_a_stop_rule_makes_rounds(rule: dict[str, float]) -> None:
    assert EstimationSpec.model_validate(rule).in_rounds and EstimationSpec.model_validate(rule).has_stop_rule


def test_without_a_stop_rule_the_budget_is_one_round_but_optimal_picks_are_rounds_anyway() -> None:
    assert not EstimationSpec().in_rounds
    chosen = EstimationSpec(design="a_optimal")
    assert chosen.in_rounds and not chosen.has_stop_rule


@pytest.mark.parametrize("estimator", ["ridge_odd", "kernelshap_sizes"])
def test_chosen_rows_are_refused_to_estimators_that_need_a_sample(estimator: str) -> None:
    with pytest.raises(ValidationError, match="are no sample that another could weigh"):
        EstimationSpec.model_validate({"design": "a_optimal", "estimator": estimator})


def test_the_papers_estimator_is_refused_another_design() -> None:
    with pytest.raises(ValidationError, match=r"needs estimation\.design 'kernelshap'"):
        EstimationSpec(estimator="kernelshap")


@pytest.mark.parametrize(
    "bad", [{"stop_width": 0.0}, {"stop_width": float("inf")}, {"stop_top": 0}, {"stop_level": 0.5}]
)
def test_goals_that_mean_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        EstimationSpec.model_validate(bad)


def test_an_estimator_whose_intervals_are_too_narrow_cannot_stop_a_study() -> None:
    with pytest.raises(ValidationError, match="too narrow to stop by"):
        EstimationSpec(estimator="ridge_odd", stop_top=2)
