"""Latents have no bounds: nothing of a given base's noise schedule clips them, also where its config is silent on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import LDMPipeline, PNDMScheduler

from tasks.model.model import Model
from tasks.model.network_config import checked_schedule
from tests.families.building import autoencoder, edit, family_and_model

OLDER = {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "set_alpha_to_one": False, "clip_sample": None}


def assert_unclipped(model: Model) -> None:
    config = model.schedule.config
    assert not config["clip_sample"] and not config["thresholding"]
    latents = torch.full((1, 4, 2, 2), 5.0)
    noisy = model.schedule.add_noise(latents, torch.zeros_like(latents), torch.tensor([0]))
    assert model.schedule.step(torch.zeros_like(latents), 0, noisy).pred_original_sample.max() > 4


@pytest.mark.parametrize("entries", [OLDER, {"clip_sample": True}, {"thresholding": True}])
def test_adapters_work_on_unclipped_latents(entries: dict[str, object], own_bases: Path) -> None:
    edit(own_bases / "sd/scheduler/scheduler_config.json", **entries)
    assert_unclipped(family_and_model("sd-lora", own_bases)[1])


def test_a_given_latent_pipeline_works_on_unclipped_latents_wherever_it_is_read(bases: Path, tmp_path: Path) -> None:
    network = family_and_model("ldm", bases)[1].network
    given = tmp_path / "given"
    LDMPipeline(vqvae=autoencoder(), unet=network, scheduler=PNDMScheduler()).save_pretrained(given)
    assert "clip_sample" not in json.loads((given / "scheduler/scheduler_config.json").read_text())
    family, model = family_and_model("ldm", bases, model={"pretrained": str(given), "autoencoder": None})
    assert_unclipped(model)
    assert_unclipped(family.load(given, given / "vqvae"))
    description = family.describe(model)
    description["schedule"].pop("clip_sample")
    assert_unclipped(family.maker(description, given / "vqvae")())


def test_pixels_are_clipped_as_their_schedule_says() -> None:
    assert checked_schedule({}).config["clip_sample"]
    assert not checked_schedule({"clip_sample": False}).config["clip_sample"]
