"""What an evaluation takes, and that nothing is made up where nothing was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from infra.ledger import ModelRecord
from tasks.plan.lacking import Lack, whole
from tasks.preview.prices import rates
from tasks.preview.types import Measured, Storage
from tasks.preview.work import add_up
from tests.plan.chained import MADE, NOTHING, OTHER, PRUNED, WEIGHTS, held, job, study


def test_nothing_measured_nothing_said() -> None:
    assert set(rates(study(), PRUNED, NOTHING).values()) == {None}


def test_this_recipe_comes_first_whatever_the_seed() -> None:
    found = rates(study(), PRUNED, held(job(study(), seed=1), job(study(), ("f3",), seed=2)))
    assert {part: (r.seconds, r.count) for part, r in found.items() if r is not None} == {
        "fine_tune": (10, 2),
        "sample": (4, 2),
        "score/heldout_loss": (2, 2),
        "score/colourfulness": (2, 2),
    }


def test_the_pruned_models_own_timing_comes_before_other_models() -> None:
    there = held(job(study(), pruned=OTHER))
    facts = {"pruned/parameters": 1.0, "pruned/macs": 1.0, "pruned/seconds_per_step": 0.5, "pruned/heldout_loss": 1.0}
    record = ModelRecord(**MADE, key=PRUNED.key, spec=PRUNED.spec, sha256=WEIGHTS, seconds=9, facts=facts)
    steps = study().coalition.steps
    expected = Measured(0.5 * steps, 1, f"{steps} steps, timed when the model was pruned, cpu")
    assert rates(study(), PRUNED, replace(there, models={**there.models, PRUNED.key: record}))["fine_tune"] == expected


def test_other_models_are_scaled_by_their_steps_and_images_and_it_is_said() -> None:
    other = study(coalition={"steps": 50}, sampling={"steps": 10, "images": 128})
    wanted = study(coalition={"steps": 150}, sampling={"steps": 20, "images": 256})
    found = rates(wanted, PRUNED, held(job(other, pruned=OTHER)))
    assert found["fine_tune"] == Measured(30, 1, "a step of other models, cpu", rough=True)
    assert found["sample"] == Measured(16, 1, "a step of an image of other models, cpu", rough=True)
    assert found["score/heldout_loss"] == Measured(2, 1, "on other models, cpu", rough=True)


def test_a_card_tells_nothing_of_a_cpu() -> None:
    assert set(rates(study(), PRUNED, held(job(study()), device="cuda:1")).values()) == {None}
    found = rates(study(execution={"device": "cuda"}), PRUNED, held(job(study()), device="cuda:1"))
    assert all(found.values())


def test_where_the_device_is_open_it_is_the_one_of_this_studys_own_evaluations() -> None:
    found = rates(study(execution={"device": "auto"}), PRUNED, held(job(study()), device="cuda:1"))
    assert found["fine_tune"] == Measured(10, 1, "by this recipe, cuda")


def test_what_failed_is_no_measure() -> None:
    there = held(job(study()))
    models = {
        key: ModelRecord(**MADE, key=key, spec=r.spec, failure="training loss is nan", seconds=1)
        for key, r in there.models.items()
    }
    assert rates(study(), PRUNED, replace(there, models=models))["fine_tune"] is None


@pytest.fixture
def storage() -> Iterator[Storage]:
    yield Storage(images=0, models=None, weights=1000, weights_exact=True, samples=300)


def test_a_sum_is_of_what_is_lacking_only(storage: Storage) -> None:
    lacks = [
        whole(job(study())),
        Lack(False, False, False, ("colourfulness",)),
        Lack(True, False, True, ("heldout_loss",)),
    ]
    prices = rates(study(), PRUNED, held(job(study())))
    work = add_up(lacks, prices, storage)
    assert (work.evaluations, work.trainings, work.samplings) == (3, 1, 2)
    assert work.seconds == 10 + 2 * 4 + 4 * 2
    assert (work.weights_bytes, work.samples_bytes) == (2000, 600)


def test_a_part_that_was_never_measured_leaves_no_sum(storage: Storage) -> None:
    prices = {**rates(study(), PRUNED, held(job(study()))), "score/colourfulness": None}
    work = add_up([whole(job(study()))], prices, storage)
    assert work.seconds is None and work.not_measured == ("score/colourfulness",)
    assert add_up([Lack(False, False, False, ("heldout_loss",))], prices, storage).seconds == 2
    unknown = add_up([whole(job(study()))], prices, replace(storage, weights=None))
    assert unknown.weights_bytes is None


def test_a_study_that_draws_no_images_needs_no_rate_of_drawing(storage: Storage) -> None:
    wanted = study(properties={"names": ["heldout_loss"]})
    prices = rates(wanted, PRUNED, held(job(study())))
    assert "sample" not in prices
    work = add_up([whole(job(wanted))], prices, storage)
    assert (work.samplings, work.seconds, work.not_measured) == (0, 10 + 2, ())
