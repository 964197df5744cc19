"""What an evaluation lacks, what it takes, and that nothing is made up where nothing was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.ledger import ModelRecord, SamplesRecord, ScoreRecord
from tasks.evaluate.jobs import Job
from tasks.plan.chain import chain, properties_of
from tasks.preview.prices import rates
from tasks.preview.types import Measured, Storage
from tasks.preview.work import Held, Lack, add_up, lacking, whole
from tasks.recipe import Recipe, model_recipe
from tasks.study import Study

PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
OTHER = Recipe("pruned", {"reference": "r", "ratio": 0.25})
MADE: dict[str, Any] = {"created": "2026-01-01T00:00:00+00:00", "provenance": {"device": "cpu"}}
WEIGHTS, IMAGES = "a" * 64, "b" * 64
NOTHING = Held({}, {}, {}, frozenset(), frozenset())


def study(**sections: dict[str, Any]) -> Study:
    fields: dict[str, Any] = {
        "properties": {"names": ["heldout_loss", "colourfulness"]},
        "execution": {"device": "cpu"},
    }
    return Study(**{**fields, **sections})


def job(wanted: Study, members: tuple[str, ...] = ("f1", "f2"), pruned: Recipe = PRUNED, seed: int = 0) -> Job:
    model = model_recipe(pruned, members, wanted, seed)
    statistics = dict.fromkeys(wanted.properties.names)
    samples, scores = chain(model, wanted, properties_of(wanted), statistics, seed)
    return Job(tuple(range(len(members))), members, "design", seed, model, samples, scores)


def held(*jobs: Job, scored: tuple[str, ...] = ("heldout_loss", "colourfulness"), device: str = "cpu") -> Held:
    """A ledger in which these jobs are done: 10 s of training, 4 s of drawing, 2 s a score."""
    made: dict[str, Any] = {**MADE, "provenance": {"device": device}}
    models, samples, scores = {}, {}, {}
    for j in jobs:
        models[j.model.key] = ModelRecord(**made, key=j.model.key, spec=j.model.spec, sha256=WEIGHTS, seconds=10)
        if j.samples is not None:
            key = j.samples.key
            samples[key] = SamplesRecord(
                **made, key=key, spec=j.samples.spec, model=j.model.key, sha256=IMAGES, seconds=4
            )
        for name in scored:
            r = j.scores[name]
            scores[r.key] = ScoreRecord(**made, key=r.key, spec=r.spec, subject=r.spec["subject"], value=1.0, seconds=2)
    return Held(models, samples, scores, frozenset({WEIGHTS}), frozenset({IMAGES}))


def test_of_what_nothing_is_there_everything_is_lacking_and_the_empty_coalition_is_not_trained() -> None:
    assert lacking(job(study()), NOTHING) == whole(job(study()))
    assert lacking(job(study(), ()), NOTHING) == Lack(True, False, True, ("heldout_loss", "colourfulness"))


@pytest.mark.parametrize(
    ("scored", "weights", "images", "expected"),
    [
        (("colourfulness",), True, True, Lack(False, False, False, ("heldout_loss",))),
        (("heldout_loss",), True, True, Lack(False, False, False, ("colourfulness",))),
        (("heldout_loss",), False, True, Lack(False, False, False, ("colourfulness",))),  # kept images are enough
        (("heldout_loss",), True, False, Lack(False, False, True, ("colourfulness",))),  # drawn from kept weights
        (("heldout_loss",), False, False, Lack(True, True, True, ("colourfulness",))),
        (("colourfulness",), False, True, Lack(True, True, False, ("heldout_loss",))),
    ],
)
def test_what_was_removed_from_the_store_is_made_again_only_where_it_is_needed(
    scored: tuple[str, ...], weights: bool, images: bool, expected: Lack
) -> None:
    there = held(job(study()), scored=scored)
    there = replace(there, weights=there.weights if weights else set(), images=there.images if images else set())
    assert lacking(job(study()), there) == expected


def test_weights_that_were_not_kept_are_not_there() -> None:
    there = held(job(study()), scored=("colourfulness",))
    models = {key: record.model_copy(update={"kept": False}) for key, record in there.models.items()}
    assert lacking(job(study()), replace(there, models=models)) == Lack(True, True, False, ("heldout_loss",))


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
