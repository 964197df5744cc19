"""The proof as a flow: what it trains, what it finds again, and what stands on its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.attribute import attribute
from flows.validate import validate
from infra.store import Store
from tasks.validate.storage import latest_validation
from tasks.validate.worlds import recipe_digest
from tasks.validation_spec import ValidationSpec
from tests.flows.reading import latest, ledger
from tests.flows.seen import artifacts
from tests.small import DESIGNERS, small_study

ASKED = ValidationSpec(step_factors=[2.0], ratios=[0.0], pruned=2, projection=64, replicates=20)


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
        assert each.exact is not None and len(each.exact_credits or ()) == 4
        assert all(set(method.removed) == {"0.4", "0.6"} == set(method.kept) for method in each.methods)
    assert ("own score (mean)" in {m.name for m in found.properties[1].methods}) is True


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
