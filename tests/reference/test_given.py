"""Given references: none takes another's place in the store."""

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, LDMPipeline, UNet2DModel, VQModel

from infra.ledger import Ledger, ModelRecord
from infra.store import Store, StoreError
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job, Setting
from tasks.families import family_of
from tasks.families.types import FamilyError
from tasks.model.pipeline import save_pipeline
from tasks.model.unet import noise_schedule
from tasks.recipe import model_recipe
from tasks.reference.pruned import obtain_pruned
from tasks.reference.reference import load_reference, obtain_reference, reference_folder
from tests.model.building import (
    pruned_recipe_of,
    reference_recipe_of,
    same_weights,
    tiny_data,
    tiny_schedule,
    tiny_study,
    tiny_unet,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def given(folder: Path, family: str = "ddpm"):
    return tiny_study(model={"family": family, "pretrained": str(folder)}, pruning={"ratio": 0})


def obtained(study, store: Store) -> ModelRecord:
    recipe = reference_recipe_of(study, family_of(study.model).given())
    return obtain_reference(study, recipe, tiny_data, store, say=print)


def latent_pipeline(folder: Path, autoencoder: int = 0, steps: int = 100) -> Path:
    torch.manual_seed(autoencoder)
    vqvae = VQModel(block_out_channels=(8,), norm_num_groups=4, latent_channels=3, num_vq_embeddings=16)
    unet: UNet2DModel = tiny_unet(seed=5)
    schedule = DDPMScheduler(num_train_timesteps=steps, clip_sample=False)
    LDMPipeline(vqvae=vqvae, unet=unet, scheduler=schedule).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("other", [{"autoencoder": 1}, {"steps": 50}])
def test_pipelines_of_one_network_with_another_autoencoder_or_schedule_lie_side_by_side(store, tmp_path, other):
    studies = [given(latent_pipeline(tmp_path / "a"), "ldm"), given(latent_pipeline(tmp_path / "b", **other), "ldm")]
    records = [obtained(study, store) for study in studies]
    assert reference_folder(records[0]) != reference_folder(records[1])
    for study, record in zip(studies, records, strict=True):
        load_reference(study, record, store)  # each file is checked against its record


def test_pixel_pipelines_are_named_by_their_weights_until_that_name_is_taken(store, tmp_path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "a")
    save_pipeline(tiny_unet(seed=8), noise_schedule(50, "linear"), tmp_path / "b")
    first, second = (obtained(given(tmp_path / name), store) for name in "ab")
    assert first.sha256 == first.files["unet/diffusion_pytorch_model.safetensors"] != second.sha256
    for name, record in (("a", first), ("b", second)):
        load_reference(given(tmp_path / name), record, store)
    shutil.rmtree(store.where(reference_folder(second)))  # tidied away
    assert obtained(given(tmp_path / "b"), store) == Ledger(store).get(ModelRecord, second.key) == second


def test_files_of_another_reference_are_never_overwritten(store, tmp_path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "a")
    save_pipeline(tiny_unet(seed=8), noise_schedule(50, "linear"), tmp_path / "b")
    first = obtained(given(tmp_path / "a"), store)
    shutil.rmtree(store.where(reference_folder(first)))  # tidied away
    second = obtained(given(tmp_path / "b"), store)
    assert reference_folder(second) == reference_folder(first)
    with pytest.raises(StoreError, match="sha256"):
        load_reference(given(tmp_path / "a"), first, store)
    Path(store.where(f"{reference_folder(first)}/model_index.json")).unlink()
    with pytest.raises(StoreError, match="another reference"):
        obtained(given(tmp_path / "a"), store)
    obtained(given(tmp_path / "b"), store)
    load_reference(given(tmp_path / "b"), second, store)


def test_the_base_that_stands_for_the_empty_coalition_is_checked_where_it_is_used(store, tmp_path):
    save_pipeline(tiny_unet(seed=8), tiny_schedule(), tmp_path / "a")
    study = tiny_study(
        model={"pretrained": str(tmp_path / "a"), "pretrained_is": "base"},
        pruning={"ratio": 0},
        coalition={"baseline": "base"},
    )
    reference = reference_recipe_of(study, family_of(study.model).given())
    record, pruned = obtained(study, store), pruned_recipe_of(study, reference)
    obtain_pruned(study, pruned, record, tiny_data, store, heldout_loss=lambda _: 0.0, say=print)
    setting = Setting(store.url, study, "", (), np.empty((0, 0)), pruned.key, {})
    job = Job((), (), "baseline", 0, model_recipe(pruned, (), study, 0), None, {})
    (tmp_path / "a").rename(tmp_path / "there")
    with pytest.raises(FamilyError, match=r"model\.pretrained '.*a' is needed on this machine"):
        Evaluator(setting).realise(job, print)
    save_pipeline(tiny_unet(seed=9), tiny_schedule(), tmp_path / "a")  # another machine has other files there
    with pytest.raises(FamilyError, match=rf"model\.pretrained '.*a' is not on this machine \({platform.node()}\)"):
        Evaluator(setting).realise(job, print)
    assert Ledger(store).get(ModelRecord, job.model.key) is None  # nothing was recorded under the empty coalition's key
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "there").rename(tmp_path / "a")
    model, _ = Evaluator(setting).realise(job, print)
    assert model is not None and same_weights(model.network, tiny_unet(seed=8))
