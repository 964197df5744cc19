"""The proof as a flow: what it trains, what it finds again, and what stands on its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.attribute import attribute
from flows.validate import validate
from infra.store import Store
from tasks.evaluate import evaluator
from tasks.model.model import Model
from tasks.model.train import Diverged, TrainingData, TrainRecipe
from tasks.validate.storage import latest_validation
from tasks.validate.worlds import recipe_digest
from tasks.validation_spec import ValidationSpec
from tests.flows.reading import latest, ledger
from tests.flows.seen import artifacts
from tests.small import DESIGNERS, small_study

ASKED = ValidationSpec(step_factors=[2.0], ratios=[0.0], pruned=2, repeated=4, projection=64, replicates=20)


@pytest.fixture
def proven(data: Path, finished: Store) -> Store:
    """A store with the small study and its proof."""
    validate(small_study(data), ASKED)
    return finished


def test_every_property_is_held_against_retrained_models_and_every_method_is_scored(data: Path, proven: Store) -> None:
    found = latest_validation(proven, "small")
    assert found is not None and found.contributors == DESIGNERS
    assert (found.one_size, found.coalitions_of_one_size, found.coalitions_across) == (2, 6, 8)
    assert [p.name for p in found.properties] == ["heldout_loss", "colourfulness"]
    for each in found.properties:
        assert each.own_way.steps == 3 and each.own_way.ratio == 0.5 and len(each.own_way.points) == 14
        assert [(w.mode, w.steps, w.ratio) for w in each.ways if not w.study] == [
            ("retrain", 15, 0.5),
            ("finetune", 6, 0.5),
            ("finetune", 3, 0.0),
        ]
        names = {method.name for method in each.methods}
        assert {"this study", "random", "pro rata", "TRAK", "D-TRAK", "leave one out, fine-tuned"} <= names
        again = each.repeat
        assert again is not None and again.noise, "another seed gives other values"
        assert {e.count for e in (again.pearson, again.own, again.shared, again.lds)} == {4}
        assert each.exact is not None and len(each.exact_credits or ()) == 4
        cut = [method for method in each.methods if method.name != "random"]
        assert all(set(method.removed) == {"0.4", "0.6"} == set(method.kept) for method in cut)
    assert "own score (mean)" in {m.name for m in found.properties[1].methods}


def test_a_second_proof_trains_nothing_and_finds_the_same(data: Path, proven: Store) -> None:
    first, before = latest_validation(proven, "small"), ledger(proven)
    validate(small_study(data), ASKED)
    second = latest_validation(proven, "small")
    assert first is not None and second is not None and second.run != first.run
    assert ledger(proven) == before and second.trained == 0
    figures = [
        [each.model_dump(exclude={"ways": {"__all__": {"seconds"}}}) for each in found.properties]
        for found in (first, second)
    ]
    assert figures[0] == figures[1], "to the bit"
    assert artifacts("validation-small")


def test_the_statement_says_how_faithful_its_recipe_was_found(data: Path, proven: Store) -> None:
    study = small_study(data)
    assert latest_validation(proven, "small", recipe_digest(study)) is not None
    attribute(study)
    report = proven.read(f"{latest(proven, 'small')}/report.html").decode()
    assert "retrained from scratch" in report
    other = small_study(data, coalition={"steps": 4})
    assert latest_validation(proven, "small", recipe_digest(other)) is None
    attribute(small_study(data, estimation={"budget": 15, "reuse": False}))
    report = proven.read(f"{latest(proven, 'small')}/report.html").decode()
    assert "retrained from scratch" in report and "estimated otherwise" in report


def test_the_log_says_first_how_many_evaluations_there_are_and_how_long_they_take(
    data: Path, finished: Store, caplog: pytest.LogCaptureFixture
) -> None:
    validate(small_study(data), ASKED)
    first = next(i for i, line in enumerate(caplog.messages) if line.startswith("to be evaluated beside"))
    lines = caplog.messages[first:]
    assert " each" in lines[2]  # retrained ones are priced by the steps of others
    assert next(line for line in lines if line.startswith("  in all")).count("of one worker") == 1
    assert "at most 6," in next(
        line for line in lines if "counterfactuals" in line
    )  # all there are of four contributors


def test_evaluations_made_for_the_proof_are_none_that_credits_rest_on(data: Path, finished: Store) -> None:
    """A proof that is made again, or goes on after a kill, judges the same credits: the coalitions that it tests them on
    were fine-tuned in the study's own way, and would be found in the ledger."""
    few = small_study(data, estimation={"budget": 12, "stop_width": None})
    validate(few, ASKED)
    first = latest_validation(finished, "small")
    validate(few, ASKED)
    second = latest_validation(finished, "small")
    assert first is not None and second is not None
    assert [p.methods[0].credits for p in first.properties] == [p.methods[0].credits for p in second.properties]


def test_a_way_that_fails_is_left_out_and_the_rest_is_proven(
    data: Path, finished: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = evaluator.train

    def train(model: Model, data: TrainingData, recipe: TrainRecipe, **options: Any) -> list[float]:
        if recipe.steps == 6:
            raise Diverged("made to diverge")
        return real(model, data, recipe, **options)

    monkeypatch.setattr(evaluator, "train", train)
    validate(small_study(data), ASKED)
    found = latest_validation(finished, "small")
    assert found is not None and any("6 steps is left out" in said for said in found.shortfalls)
    assert [way.steps for way in found.properties[0].ways] == [3, 15, 3]


def test_what_cannot_be_proven_is_said_before_anything_is_made(data: Path, finished: Store) -> None:
    before = ledger(finished)
    own = small_study(data, pruning={"ratio": 0}, coalition={"mode": "retrain", "retrain_steps": 15})
    with pytest.raises(ValueError, match="nothing more faithful"):
        validate(own, ASKED)
    assert ledger(finished) == before
