"""Pipelines: plain diffusers reads what we write, and what cannot be the reference is refused with the reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from tasks.model.model import Model
from tasks.model.pipeline import PipelineError, load_pipeline, pipeline_digests, save_pipeline
from tasks.model.train import TrainRecipe, train
from tasks.model.unet import unet_config
from tests.model.building import SIDE, same_weights, tiny_data, tiny_schedule, tiny_unet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_pipeline(tiny_unet(attention=[1]), tiny_schedule(), tmp_path / "pipeline")
    return tmp_path / "pipeline"


def edit(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_plain_diffusers_loads_our_folder_and_draws_images(folder):
    pipeline = DDPMPipeline.from_pretrained(folder, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=2, num_inference_steps=2, output_type="np").images
    assert images.shape == (2, SIDE, SIDE, 3) and np.isfinite(images).all()
    assert same_weights(pipeline.unet, tiny_unet(attention=[1]))


def test_a_saved_pipeline_comes_back_the_same(folder):
    unet, schedule = load_pipeline(str(folder), SIDE)
    assert same_weights(unet, tiny_unet(attention=[1])) and not unet.training
    assert torch.equal(schedule.alphas_cumprod, tiny_schedule().alphas_cumprod)


def test_a_folder_names_no_path_of_the_machine_it_was_read_on(folder, tmp_path):
    unet, schedule = load_pipeline(str(folder), SIDE)
    save_pipeline(unet, schedule, tmp_path / "again")
    for path in (tmp_path / "again").rglob("*.json"):
        assert str(tmp_path) not in path.read_text()
    assert pipeline_digests(str(tmp_path / "again")) == pipeline_digests(str(folder))


def test_the_older_layout_with_both_parts_in_the_folder_itself_is_read(folder):
    for part in ("unet", "scheduler"):
        for path in (folder / part).iterdir():
            path.rename(folder / path.name)
        (folder / part).rmdir()
    assert same_weights(load_pipeline(str(folder), SIDE)[0], tiny_unet(attention=[1]))


def test_another_scheduler_is_read_as_the_noise_schedule_that_it_holds(folder):
    DDIMScheduler.from_config(tiny_schedule().config).save_pretrained(folder / "scheduler")
    schedule = load_pipeline(str(folder), SIDE)[1]
    assert isinstance(schedule, DDPMScheduler)
    assert torch.equal(schedule.alphas_cumprod, tiny_schedule().alphas_cumprod)


def test_dropout_is_switched_off_because_its_random_numbers_are_not_common(tmp_path):
    unet = UNet2DModel(**unet_config(SIDE, [8, 16], 1, [], 4), dropout=0.5)
    save_pipeline(unet, tiny_schedule(), tmp_path)
    one, other = load_pipeline(str(tmp_path), SIDE)[0], load_pipeline(str(tmp_path), SIDE)[0]
    for network, seed in ((one, 1), (other, 2)):
        torch.manual_seed(seed)
        train(Model(network, tiny_schedule()), tiny_data(), TrainRecipe(2, 4, 1e-3, 0.5, 0))
    assert same_weights(one, other)


def test_the_wrong_resolution_is_refused_with_what_to_set(folder):
    with pytest.raises(PipelineError, match=r"set model\.resolution to 8"):
        load_pipeline(str(folder), 16)


def test_a_model_that_predicts_velocity_is_refused(folder):
    edit(folder / "scheduler/scheduler_config.json", prediction_type="v_prediction")
    with pytest.raises(PipelineError, match="v_prediction"):
        load_pipeline(str(folder), SIDE)


@pytest.mark.parametrize(
    "entries",
    [
        {"out_channels": 6},
        {"in_channels": 1},
        {"num_class_embeds": 10},
        {"time_embedding_type": "fourier"},
        {"sample_size": None},
    ],
)
def test_networks_that_cannot_be_credited_are_refused_by_the_argument(folder, entries):
    edit(folder / "unet/config.json", **entries)
    with pytest.raises(PipelineError, match=next(iter(entries))):
        load_pipeline(str(folder), SIDE)


def test_pickled_weights_are_never_read(folder):
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    torch.save(tiny_unet().state_dict(), folder / "unet/diffusion_pytorch_model.bin")
    with pytest.raises(PipelineError, match="safetensors"):
        load_pipeline(str(folder), SIDE)
    with pytest.raises(PipelineError, match="safetensors"):
        pipeline_digests(str(folder))


def test_weights_that_do_not_fit_are_refused_not_filled_with_random_ones(folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["conv_out.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(PipelineError, match=r"do not fit its config.*conv_out\.bias"):
        load_pipeline(str(folder), SIDE)
    edit(folder / "unet/config.json", layers_per_block=2)
    with pytest.raises(PipelineError, match="size mismatch"):
        load_pipeline(str(folder), SIDE)


def test_another_kind_of_network_or_pipeline_is_refused(folder):
    edit(folder / "unet/config.json", _class_name="UNet2DConditionModel")
    with pytest.raises(PipelineError, match="UNet2DConditionModel"):
        load_pipeline(str(folder), SIDE)
    edit(folder / "model_index.json", vqvae=["diffusers", "VQModel"])
    with pytest.raises(PipelineError, match="vqvae"):
        load_pipeline(str(folder), SIDE)


def test_code_in_a_pipeline_folder_is_not_run(folder, tmp_path):
    marker = tmp_path / "executed"
    (folder / "unet/my_unet.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: ...\n")
    (folder / "pipeline.py").write_text(f"open({str(marker)!r}, 'w')\n")
    edit(folder / "model_index.json", unet=["my_unet", "Evil"], _class_name=["pipeline", "Evil"])
    load_pipeline(str(folder), SIDE)
    assert not marker.exists()


@pytest.mark.parametrize("damage", [b"", b"not json", b"[]"])
def test_a_damaged_index_is_an_error_of_the_pipeline(folder, damage):
    (folder / "model_index.json").write_bytes(damage)
    with pytest.raises(PipelineError, match=str(folder)):
        load_pipeline(str(folder), SIDE)


def test_truncated_weights_are_an_error_of_the_pipeline(folder):
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(PipelineError, match="could not be loaded"):
        load_pipeline(str(folder), SIDE)


def test_digests_name_every_weights_and_config_file_and_see_a_change(folder):
    before = pipeline_digests(str(folder))
    assert set(before) == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }
    edit(folder / "unet/config.json", norm_eps=1e-6)
    assert {n for n, d in pipeline_digests(str(folder)).items() if d != before[n]} == {"unet/config.json"}
