"""A base is known by what is read of it, and by nothing that happens to lie beside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline
from safetensors.torch import load_file, save_file

from infra.digest import sha256_of_file
from infra.store import Store
from tasks.families.stored import fetch_base, store_base
from tasks.model.parts import PipelineError, digests_of_folder
from tasks.model.pipeline import pipeline_digests
from tests.families.building import edit, family_and_model, predicted

WEIGHTS = "diffusion_pytorch_model.safetensors"
PLACES = {"ldm": ("kl",), "sd-lora": ("sd", "sd/unet", "sd/vae", "sd/text_encoder", "sd/tokenizer", "sd/scheduler")}


def in_two_parts(folder: Path, single: str) -> None:
    """Weights as a library writes them when they are large."""
    tensors, stem = load_file(folder / single), single.removesuffix(".safetensors")
    names = sorted(tensors)
    files = {name: f"{stem}-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({n: tensors[n] for n in names if files[n] == file}, folder / file, metadata={"format": "pt"})
    (folder / f"{single}.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    (folder / single).unlink()


@pytest.mark.parametrize("kind", PLACES)
def test_what_lies_beside_a_base_is_no_part_of_it(kind: str, own_bases: Path, store: Store) -> None:
    family, model = family_and_model(kind, own_bases)
    files, expected = family.given(), predicted(model)
    for place in PLACES[kind]:
        for name in ("ATTRIBUTION.txt", "a note (1).txt", "notes.json", "my weights.safetensors", "README.md"):
            (own_bases / place / name).write_text("{}")
        for name in (WEIGHTS, "model.safetensors"):
            if (own_bases / place / name).exists():
                stem = name.removesuffix(".safetensors")
                halves = {key: tensor.half() for key, tensor in load_file(own_bases / place / name).items()}
                save_file(halves, own_bases / place / f"{stem}.fp16.safetensors")
                save_file({"x": torch.ones(2)}, own_bases / place / f"{stem}.non_ema.safetensors")
    family, model = family_and_model(kind, own_bases)
    assert family.given() == files and torch.equal(predicted(model), expected)
    base, weights = family.base(), model.weights()
    assert base is not None and base.files == files
    store_base(base, store)
    with fetch_base(base.files, store) as folder:
        assert folder is not None
        again = family.maker(family.describe(model), folder)()
        again.load_weights(weights)
        assert torch.equal(predicted(again), expected)


@pytest.mark.parametrize("kind", PLACES)
def test_all_that_is_read_is_a_part_of_it(kind: str, own_bases: Path) -> None:
    family, _ = family_and_model(kind, own_bases)
    before = family.given()
    assert before is not None
    there = {path for place in PLACES[kind] for path in (own_bases / place).iterdir() if path.is_file()}
    root = own_bases / PLACES[kind][0]
    assert before == {path.relative_to(root).as_posix(): sha256_of_file(path) for path in there}


@pytest.mark.parametrize(("kind", "part"), [("ldm", "kl"), ("sd-lora", "sd/unet"), ("sd-lora", "sd/text_encoder")])
def test_weights_in_several_files_are_all_of_it(kind: str, part: str, own_bases: Path) -> None:
    expected, folder = predicted(family_and_model(kind, own_bases)[1]), own_bases / part
    in_two_parts(folder, next(folder.glob("*.safetensors")).name)
    family, model = family_and_model(kind, own_bases)
    assert torch.equal(predicted(model), expected)
    files = {name.rpartition("/")[2] for name in family.given() or ()}
    assert {path.name for path in folder.iterdir()} <= files


def test_a_part_that_must_have_weights_is_not_looked_for_beside_the_parts(own_bases: Path) -> None:
    shutil.copy(own_bases / "sd/unet" / WEIGHTS, own_bases / "sd" / WEIGHTS)
    shutil.rmtree(own_bases / "sd/unet")
    with pytest.raises(PipelineError, match="no safetensors weights in unet/"):
        digests_of_folder(own_bases / "sd", {"unet": True})


@pytest.mark.parametrize("older", [False, True])
def test_a_pipeline_of_pixels_is_its_two_parts_and_its_index(older: bool, bases: Path, tmp_path: Path) -> None:
    model = family_and_model("ddpm", bases)[1]
    DDPMPipeline(unet=model.network, scheduler=model.schedule).save_pretrained(tmp_path)
    if older:  # as some on the hub are
        for path in (*(tmp_path / "unet").iterdir(), *(tmp_path / "scheduler").iterdir()):
            path.rename(tmp_path / path.name)
        for name in ("unet", "scheduler"):
            (tmp_path / name).rmdir()
    there = {p.relative_to(tmp_path).as_posix(): sha256_of_file(p) for p in tmp_path.rglob("*") if p.is_file()}
    assert len(there) == 4
    (tmp_path / "notes.json").write_text("{}")
    assert pipeline_digests(str(tmp_path)) == there
    edit(tmp_path / ("config.json" if older else "unet/config.json"), norm_eps=1e-6)
    assert pipeline_digests(str(tmp_path)) != there
