"""What is foreseen of a study of each family is what then lies in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from infra.store import Store
from tasks.families import family_of
from tasks.families.stored import prepared
from tasks.frozen import Frozen
from tasks.model.train import TrainingData
from tasks.partition import Partition
from tasks.partition.partition import partition
from tasks.preview.preview import look_ahead
from tasks.preview.text import answers
from tasks.preview.types import Preview
from tasks.progress import silent
from tasks.recipe import Recipe, data_recipe, pruned_recipe
from tasks.reference.pruned import obtain_pruned, pruned_files
from tasks.reference.reference import obtain_reference, reference_folder, reference_of
from tasks.study import Study
from tests.families.building import SIDE, save_bases, study_of
from tests.small import make_data

ENCODING = ("ldm", "ldm-vq", "sd-lora")
LATENTS = 4 * 4 * (SIDE // 2) ** 2  # bytes of an image's: 4 channels, half the side, float32


class Asked(NamedTuple):
    """A study with its images, and an empty store."""

    study: Study
    partition: Partition
    data: Recipe
    store: Store

    def preview(self) -> Preview:
        return look_ahead(self.study, self.partition, self.data, self.store, silent)

    def everybody(self) -> TrainingData:
        return Frozen.of(self.partition, self.data).everybody


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Images of four designers, and the models that are given."""
    bases = tmp_path_factory.mktemp("bases")
    save_bases(bases)
    return make_data(tmp_path_factory.mktemp("data") / "openmoji"), bases


@pytest.fixture
def asked(request: pytest.FixtureRequest, folders: tuple[Path, Path], tmp_path: Path) -> Asked:
    data, bases = folders
    study = study_of(
        request.param, bases, data={"url": str(data)}, estimation={"budget": 16}, coalition={"audit_coalitions": 0}
    )
    family = family_of(study.model)
    family.check(study)
    parts = partition(study.data, study.model.resolution, prompts=family.takes_prompts)
    return Asked(study, parts, data_recipe(parts, study.model.resolution), Store(str(tmp_path / "store")))


def size(store: Store, folder: str) -> int:
    return sum(entry.size for entry in store.entries(folder).values())


def file_size(store: Store, key: str) -> int:
    return store.entries(key.rpartition("/")[0])[key].size


def make_models(asked: Asked) -> tuple[str, str]:
    """Reference and pruned model. Returns the folder of one and the weights of the other."""
    study, _, data, store = asked
    recipe = reference_of(study, data)
    reference = obtain_reference(study, recipe, asked.everybody, store, say=silent)
    wanted = pruned_recipe(study.pruning, study.model, recipe, data)
    pruned = obtain_pruned(study, wanted, reference, asked.everybody, store, heldout_loss=lambda _: 1.0, say=silent)
    return reference_folder(reference), pruned_files(pruned)[0]


@pytest.mark.parametrize("asked", ["ddpm", *ENCODING], indirect=True)
def test_base_and_latents_are_foreseen_to_the_byte_and_not_twice(asked: Asked) -> None:
    before = asked.preview()
    assert not Path(asked.store.url).exists()
    assert (before.reference.is_there, before.pruned.is_there) == (False, False)
    make_models(asked)
    assert before.storage.base == size(asked.store, "base")
    header = 0 if not asked.store.list("latents") else size(asked.store, "latents") - before.storage.latents
    assert 0 <= header < 200  # of the safetensors file
    assert before.storage.latents == len(asked.partition.train_digests) * (
        LATENTS if asked.study.model.family != "ddpm" else 0
    )

    after = asked.preview()
    assert (after.reference.is_there, after.pruned.is_there) == (True, True)
    assert (after.storage.base, after.storage.latents, after.storage.models) == (0, 0, None)
    said = dict(answers(before))["added to the store"]
    assert ("models stand on" in said) == ("encoded images" in said) == (asked.study.model.family != "ddpm")
    assert "models stand on" not in dict(answers(after))["added to the store"]


@pytest.mark.parametrize("asked", ["sd-lora"], indirect=True)
def test_of_adapters_only_the_adapters_are_foreseen(asked: Asked) -> None:
    before = asked.preview().storage
    reference, pruned = make_models(asked)
    weights, cut = (file_size(asked.store, key) for key in (f"{reference}/pytorch_lora_weights.safetensors", pruned))
    assert before.models is not None and before.weights is not None
    headers = 20_000  # of a file, with the names of its layers
    assert before.weights < weights < before.weights + headers < size(asked.store, "base")
    assert weights + cut < before.models + 2 * headers
    assert asked.preview().storage.weights == cut


@pytest.mark.parametrize("asked", ["ldm"], indirect=True)
def test_other_images_are_encoded_though_the_base_is_there_and_once(asked: Asked) -> None:
    make_models(asked)
    rows = len(asked.partition.train_digests) - 2
    fewer: dict[str, Any] = {
        "train_digests": asked.partition.train_digests[:rows],
        "train_pixels": asked.partition.train_pixels[:rows],
        "ownership": asked.partition.ownership[:rows],
    }
    today = Partition(**{**asked.partition.__dict__, **fewer})
    storage = look_ahead(asked.study, today, data_recipe(today, SIDE), asked.store, silent).storage
    assert storage.latents == rows * LATENTS and storage.base == 0
    data = TrainingData(asked.everybody().inputs[:rows], today.train_digests, np.ones(rows))
    prepared(data, family_of(asked.study.model).build(), asked.store)
    again = look_ahead(asked.study, today, data_recipe(today, SIDE), asked.store, silent).storage
    assert again.latents == 0
