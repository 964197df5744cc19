"""Methods are of the images and the model that they name, and more is more credit in all of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.digest import sha256
from infra.ledger import Ledger, LedgerConflict, ModelRecord, SamplesRecord
from infra.store import Store
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.statistics import prepare_statistics
from tasks.evaluate.weights import pack
from tasks.families.stored import encoded
from tasks.frozen import epoch_at_hand
from tasks.model.model import Model
from tasks.model.train import train
from tasks.partition import Partition, partition
from tasks.partition.openmoji import convert
from tasks.partition.types import Contributor
from tasks.plan import make_plan
from tasks.properties import Samples, resolve_property
from tasks.recipe import data_recipe, pruned_recipe, reference_recipe
from tasks.reference.pruned import obtain_pruned
from tasks.reference.reference import obtain_reference
from tasks.study import Study
from tasks.validate.gradients_of import image_gradients, pixel_digests
from tasks.validate.methods import (
    free_credits,
    grand_coalition,
    of_gradients,
    of_images,
    of_own_score,
)
from tasks.validation.gradients import gradient_credits
from tasks.validation.ownership import Ownership
from tasks.validation_spec import ValidationSpec
from tests.families.building import PROMPTS, family_and_model, pixel_data, study_of
from tests.model.building import tiny_data, tiny_schedule, tiny_unet
from tests.small import DESIGNERS, small_study

pytestmark = pytest.mark.usefixtures("few_threads")
HOW: dict[str, Any] = {"timesteps": 3, "dimension": 128, "seed": 7}
FEW = [name for name in DESIGNERS if name != "Ferdinand Sorg"]  # who has more images than all others together


def ddpm() -> Model:
    return Model(tiny_unet(), tiny_schedule())


def owned(pixels: np.ndarray, ownership: np.ndarray, prompts: tuple[str, ...] = ()) -> Partition:
    """A partition of these images, which are named by their pixels."""
    n = ownership.shape[1]
    counts = ownership.sum(axis=0)
    people = tuple(Contributor(f"c{i}", counts[i], 0.0, counts[i] / counts.sum(), f"{i:064x}") for i in range(n))
    return Partition(people, (), (), pixel_digests(pixels), (), ownership, pixels, pixels[:0], prompts)


def painted(*colours: tuple[int, int, int], side: int = 8) -> np.ndarray:
    """Images in two halves, grey and a colour: uint8 [n, side, side, 3]."""
    images = np.full((len(colours), side, side, 3), 128, dtype=np.uint8)
    for image, colour in zip(images, colours, strict=True):
        image[:, side // 2 :] = colour
    return images


def test_who_has_what_was_drawn_is_similar_to_it_and_own_scores_are_of_own_images() -> None:
    pixels = painted((255, 0, 0), (130, 126, 128), (0, 0, 255), (0, 120, 0))
    people = owned(pixels, np.array([[1, 0], [1, 0], [0, 1], [0, 2.0]]))
    study = Study.model_validate({"properties": {"names": ["colourfulness"]}})
    found = of_images(study, people, painted((0, 0, 250), (0, 110, 0)), seed=3)
    assert set(found) == {"random", "pro rata"} | {
        f"{what} similarity ({how})" for what in ("pixel", "feature") for how in ("mean", "max")
    }
    assert found["pro rata"].tolist() == pytest.approx([0.4, 0.6])
    for name in ("pixel similarity (mean)", "pixel similarity (max)", "feature similarity (mean)"):
        assert found[name][1] > found[name][0], name
    assert (found["random"] == of_images(study, people, pixels, seed=3)["random"]).all()

    own = of_own_score(study, people, "colourfulness")
    by_image = resolve_property("colourfulness", study.properties).per_image
    assert by_image is not None
    scores = by_image(Samples(pixels))
    assert own["own score (mean)"] == pytest.approx(
        [(scores[0] + scores[1]) / 2, (scores[2] + 2 * scores[3]) / 3], rel=1e-6
    )
    assert own["own score (max)"] == pytest.approx([scores[0], scores[2]], rel=1e-6)
    assert of_own_score(study, people, "heldout_loss") == {}


def test_an_own_score_of_which_less_is_better_is_turned_round(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = painted((255, 0, 0), (130, 126, 128), (0, 0, 255))
    people = owned(pixels, np.array([[1, 0], [1, 0], [0, 1.0]]))
    study = Study.model_validate({"properties": {"names": ["colourfulness"]}})
    wanted = resolve_property("colourfulness", study.properties)
    assert wanted.per_image is not None
    scores = wanted.per_image(Samples(pixels))
    dull = replace(wanted, sign=-1)
    monkeypatch.setattr("tasks.validate.methods.resolve_property", lambda name, spec: dull)
    own = of_own_score(study, people, "colourfulness")
    assert own["own score (mean)"] == pytest.approx([-(scores[0] + scores[1]) / 2, -scores[2]], rel=1e-6)
    assert own["own score (max)"] == pytest.approx([-scores[1], -scores[2]], rel=1e-6)  # the dullest is the best one


def test_of_gradients_a_generated_image_is_given_the_prompt_that_it_was_drawn_for(
    bases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of("sd-lora", bases)
    _, model = family_and_model("sd-lora", bases)
    data = pixel_data(4, prompts=True)
    people = owned(data.inputs.numpy(), np.array([[1, 0], [0.5, 0.5], [0, 1], [0, 1.0]]), data.prompts)
    drawn = pixel_data(3, seed=1).inputs.numpy()
    calls = []

    def noted(*arguments: Any, **how: Any) -> Any:
        calls.append((arguments[2], arguments[3], how["what"]))
        return image_gradients(*arguments, **how)

    monkeypatch.setattr("tasks.validate.methods.image_gradients", noted)
    found = of_gradients(study, people, drawn, model, **HOW)
    assert set(found) == {"TRAK", "D-TRAK", "gradient similarity (mean)", "gradient similarity (max)"}
    (told, names, _), (asked, digests, _) = calls
    assert (told, names) == (data.prompts, people.train_digests)
    assert list(asked) == [PROMPTS[0], PROMPTS[1], PROMPTS[0]] and digests == pixel_digests(drawn)
    train = image_gradients(model, encoded(torch.from_numpy(people.train_pixels), model), told, names, **HOW)
    other = image_gradients(model, encoded(torch.from_numpy(drawn), model), asked, digests, **HOW)
    ownership = Ownership(people.train_digests, people.ownership)
    assert found["TRAK"] == pytest.approx(gradient_credits(train["trak"], other["trak"].values, ownership))
    assert found["D-TRAK"] == pytest.approx(gradient_credits(train["d_trak"], other["d_trak"].values, ownership))
    assert not np.allclose(found["TRAK"], found["D-TRAK"])


def test_whose_image_was_drawn_again_has_the_most_similar_gradient() -> None:
    pixels = tiny_data(6).inputs.numpy()
    people = owned(pixels, np.repeat(np.eye(3), 2, axis=0))
    study = Study.model_validate({"model": {"resolution": 8}})
    found = of_gradients(study, people, pixels[2:3], ddpm(), **HOW)  # noise too is that image's
    assert found["gradient similarity (max)"][1] == pytest.approx(1, abs=1e-5)
    for name in ("gradient similarity (max)", "TRAK", "D-TRAK"):
        assert found[name].argmax() == 1, name


# --- the grand coalition, from a store ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A small study whose epoch is in a store."""
    folder = tmp_path_factory.mktemp("epoch")
    convert(folder / "data", contributors=FEW, size=32)
    study = small_study(folder / "data", properties={"feature_size": 32})
    world(study, Store(str(folder / "store")))
    return study, folder / "store"


def world(study: Study, store: Store) -> tuple[Partition, Evaluator, Job]:
    """Everybody's images, an evaluator, and the grand coalition's job, of a study; its epoch is made if it is not there."""
    people = partition(study.data, study.model.resolution)
    data = data_recipe(people, study.model.resolution)
    epoch = epoch_at_hand(people, data)
    statistics = prepare_statistics(study, epoch, store, print)
    reference = reference_recipe(study.model, data, None)
    everybody = epoch.images.everybody
    trained = obtain_reference(study, reference, lambda: everybody, store, say=print)
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    obtain_pruned(study, pruned, trained, lambda: everybody, store, heldout_loss=lambda _: 0.0, say=print)
    pixels = store.save_named_by_content("data", people.stored())
    setting = Setting(store.url, study, pixels, people.train_digests, people.ownership, pruned.key, statistics)
    plan = make_plan(study, people, pruned, statistics, Ledger(store))
    return people, Evaluator(setting), next(job for job in plan.jobs if job.role == "grand")


def fresh(opened: tuple[Study, Path], folder: Path, **sections: dict[str, Any]) -> tuple[Partition, Evaluator, Job]:
    study, store = opened
    form = study.model_dump(exclude_defaults=True)
    for name, fields in sections.items():
        form[name] = {**form.get(name, {}), **fields}
    return world(Study.model_validate(form), Store(str(shutil.copytree(store, folder / "store"))))


@pytest.mark.parametrize("megabytes", [64, 0])
def test_the_grand_coalition_is_that_of_the_ledger_whether_its_weights_were_kept_or_not(
    megabytes: int, opened: tuple[Study, Path], tmp_path: Path
) -> None:
    _, evaluator, job = fresh(opened, tmp_path, execution={"keep_weights_below_mb": megabytes})
    evaluator.evaluate(job, print)
    store, said = evaluator.store, list[str]()
    record = evaluator.ledger.get(ModelRecord, job.model.key)
    assert record is not None and len(store.list("models")) == (megabytes > 0)
    before = {name: store.list(name) for name in ("models", "samples", "ledger")}

    images, model = grand_coalition(evaluator, job, say=said.append)
    assert model is not None and sha256(pack(model)) == record.sha256
    assert images.shape == (24, 8, 8, 3) and images.dtype == np.uint8
    assert any("trained" in line for line in said) == (megabytes == 0)
    assert {name: store.list(name) for name in before} == before  # nothing new is kept

    said.clear()
    again, none = grand_coalition(evaluator, job, with_model=False, say=said.append)
    assert (again == images).all() and none is None and not said  # images are there: no training for them


def test_weights_that_come_out_otherwise_are_refused_with_what_to_do_and_images_do_without_them(
    opened: tuple[Study, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, evaluator, job = fresh(opened, tmp_path, execution={"keep_weights_below_mb": 0})
    evaluator.evaluate(job, print)

    def on_another_card(model: Model, *arguments: Any, **how: Any) -> list[float]:
        losses = train(model, *arguments, **how)
        with torch.no_grad():
            next(iter(model.trainable().values())).mul_(1.001)
        return losses

    monkeypatch.setattr("tasks.evaluate.evaluator.train", on_another_card)
    with pytest.raises(LedgerConflict, match=r"came out otherwise .*\(validation.gradients\) no weights are needed"):
        grand_coalition(evaluator, job)
    assert evaluator.store.list("models") == []
    assert len(grand_coalition(evaluator, job, with_model=False)[0]) == 24


def test_a_grand_coalition_that_was_not_evaluated_yet_is_recorded_for_whoever_scores_it(
    opened: tuple[Study, Path], tmp_path: Path
) -> None:
    names = {"names": ["heldout_loss"]}
    _, evaluator, job = fresh(opened, tmp_path, properties=names, execution={"keep_weights_below_mb": 0})
    assert job.samples is None  # no property needs images
    images, model = grand_coalition(evaluator, job)
    assert model is not None and len(images) == 24
    assert len(evaluator.ledger.all(SamplesRecord)) == 1 and len(evaluator.store.list("models")) == 1
    outcome = evaluator.evaluate(job, print)
    assert not outcome.trained and outcome.scored == 1 and evaluator.store.list("models") == []


def test_credits_of_a_real_study_by_every_method_and_the_same_again(
    opened: tuple[Study, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.validate.methods.TIMESTEPS", 2)
    people, evaluator, job = fresh(opened, tmp_path)
    study = evaluator.setting.study
    asked = ValidationSpec(projection=64)
    found = free_credits(study, asked, people, evaluator, job)
    assert set(found) == {"heldout_loss", "colourfulness"}
    own = {"own score (mean)", "own score (max)"}
    assert set(found["colourfulness"]) - set(found["heldout_loss"]) == own
    assert len(found["heldout_loss"]) == 2 + 2 * 3 + 2
    for methods in found.values():
        for name, credits in methods.items():
            assert credits.shape == (3,) and np.isfinite(credits).all(), name
            assert len(np.unique(credits)) == 3, name
    again = free_credits(study, asked, people, evaluator, job)
    assert all((found[p][name] == again[p][name]).all() for p in found for name in found[p])
    few = free_credits(study, ValidationSpec(gradients=False), people, evaluator, job)
    assert set(few["heldout_loss"]) == {name for name in found["heldout_loss"] if "TRAK" not in name} - {
        "gradient similarity (mean)",
        "gradient similarity (max)",
    }
