"""Every family's models come back from what is stored of them to the bit, and plain diffusers reads what we write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LDMPipeline, StableDiffusionPipeline

from infra.store import Store
from tasks.families import Base, family_of
from tasks.families.stored import fetch_base, store_base
from tasks.model.model import Model
from tasks.model.pipeline import PipelineError
from tasks.model.threads import aligned
from tests.families.building import PROMPTS, SIDE, edit, encoded, family_and_model, predicted, same_bits, study_of

FAMILIES = ["ddpm", "ldm", "ldm-vq", "sd-lora"]


def base_folder(base: Base | None) -> Path | None:
    return None if base is None else base.folder


@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_reference_comes_back_to_the_bit(name: str, bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model(name, bases)
    before, weights = predicted(model), model.weights()
    family.save(model, tmp_path)
    assert (tmp_path / family.weights_file).is_file()
    loaded = family.load(tmp_path, base_folder(family.base()))
    assert torch.equal(predicted(loaded), before) and same_bits(loaded.weights(), weights)
    places = {tensor.data_ptr() % 64 for tensor in loaded.network.parameters()}
    assert places == {0}, "on some processors that costs last bits"
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.pt"))
    for path in tmp_path.rglob("*.json"):
        assert str(bases.parent) not in path.read_text(), "it names a place on this machine"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_a_pruned_model_is_made_again_from_its_description_and_weights(name: str, ratio: float, bases: Path) -> None:
    family, model = family_and_model(name, bases, pruning={"ratio": ratio})
    study = study_of(name, bases, pruning={"ratio": ratio})
    before = family.count(model)
    if ratio:
        family.prune(model, study.pruning, lambda: None)
        macs, parameters = family.count(model)
        assert macs < before[0] and parameters < before[1]
    expected, weights = predicted(model), model.weights()
    description = json.loads(json.dumps(family.describe(model)))
    make = family.maker(description, base_folder(family.base()))
    for _ in range(2):  # the second shares its large parts with the first
        made = make()
        made.load_weights({key: torch.full_like(tensor, 7) for key, tensor in weights.items()})
        made.load_weights(weights)
        assert torch.equal(predicted(made), expected)
        assert family.describe(made) == description and family.count(made) == family.count(model)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_models_weights_of_another_shape_are_refused(name: str, bases: Path) -> None:
    family, model = family_and_model(name, bases)
    weights = model.weights()
    family.prune(model, study_of(name, bases).pruning, lambda: None)
    with pytest.raises(RuntimeError):
        model.load_weights(weights)


def pixels(count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["ldm", "ldm-vq"])
def test_plain_diffusers_loads_a_latent_reference_and_says_the_same(name: str, bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model(name, bases)
    before = predicted(model)
    family.save(model, tmp_path)
    theirs = LDMPipeline.from_pretrained(tmp_path, use_safetensors=True)
    theirs.set_progress_bar_config(disable=True)
    # On some processors last bits depend on where weights lie, and on whether they could be trained.
    aligned(theirs.unet), aligned(theirs.vqvae).requires_grad_(False)
    x = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(theirs.unet(x, torch.tensor([3, 90])).sample, before)
    images = theirs(batch_size=2, num_inference_steps=2, output_type="np").images
    assert images.shape == (2, SIDE, SIDE, 3) and np.isfinite(images).all()
    # The latents that we train on are those that its pipeline decodes.
    latents = model.encode(pixels())
    with torch.no_grad():
        decoded = theirs.vqvae.decode(latents / theirs.vqvae.config.scaling_factor).sample
    ours = ((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    assert torch.equal(model.decode(latents), ours)


@pytest.mark.parametrize("alpha", [None, 2.0, 12.0])
def test_plain_diffusers_loads_an_adapter_with_its_scale(alpha: float | None, bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model("sd-lora", bases, model={"lora_alpha": alpha})
    before = predicted(model)
    family.save(model, tmp_path)
    theirs = StableDiffusionPipeline.from_pretrained(bases / "sd")
    theirs.set_progress_bar_config(disable=True)
    assert not torch.allclose(before, of_unet(theirs, model), atol=1e-4), "the adapters do nothing"
    theirs.load_lora_weights(tmp_path)
    assert torch.allclose(before, of_unet(theirs, model), atol=1e-6)
    images = theirs(PROMPTS[0], num_inference_steps=2, output_type="np").images
    assert images.shape == (1, SIDE, SIDE, 3)


@pytest.mark.parametrize("alpha", [2.0, 12.0])
def test_plain_diffusers_loads_pruned_adapters_too(alpha: float, bases: Path, tmp_path: Path) -> None:
    family, model = family_and_model("sd-lora", bases, model={"lora_alpha": alpha})
    family.prune(model, study_of("sd-lora", bases).pruning, lambda: None)
    before = predicted(model)
    family.save(model, tmp_path)
    theirs = StableDiffusionPipeline.from_pretrained(bases / "sd")
    theirs.load_lora_weights(tmp_path)
    assert torch.allclose(before, of_unet(theirs, model), atol=1e-6)


@torch.no_grad()
def of_unet(theirs: StableDiffusionPipeline, model: Model) -> torch.Tensor:
    """What `predicted` asks, asked of diffusers' own pipeline."""
    x = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(1))
    tokens = theirs.tokenizer(list(PROMPTS[:2]), padding="max_length", truncation=True, return_tensors="pt").input_ids
    told = theirs.text_encoder(tokens)[0]
    return theirs.unet(x, torch.tensor([3, 90]), encoder_hidden_states=told).sample


def test_prompts_are_told_apart_and_a_long_one_is_cut(bases: Path) -> None:
    _, model = family_and_model("sd-lora", bases)
    told = model.embed([PROMPTS[0], PROMPTS[1], PROMPTS[0], "x " * 500])
    assert told is not None and told.shape[0] == 4 and told.dtype == torch.float32
    assert torch.equal(told[0], told[2]) and not torch.allclose(told[0], told[1])
    assert not torch.allclose(predicted(model, PROMPTS[:2]), predicted(model, PROMPTS[2:4]))


def test_what_is_told_of_a_prompt_depends_on_no_other_prompt(bases: Path) -> None:
    """A training that goes on meets its prompts in another company than one that was never interrupted."""
    _, alone = family_and_model("sd-lora", bases)
    _, together = family_and_model("sd-lora", bases)
    whole = together.embed(PROMPTS)
    assert whole is not None
    for prompt, row in zip(PROMPTS, whole, strict=True):
        told = alone.embed([prompt])
        assert told is not None and torch.equal(told[0], row)


@pytest.mark.parametrize("name", ["ldm", "ldm-vq", "sd-lora"])
def test_what_an_image_becomes_when_it_is_asked_for_again_depends_on_no_other_image(name: str, bases: Path) -> None:
    _, alone = family_and_model(name, bases)
    apart = torch.cat([alone.encode_again(image[None]) for image in pixels(5)])
    _, together = family_and_model(name, bases)
    many = pixels(5)[[0, 1, 0, 2, 3, 4, 4]]
    assert torch.equal(together.encode_again(many), apart[[0, 1, 0, 2, 3, 4, 4]])
    assert torch.allclose(together.encode(pixels(5)), apart, atol=1e-5)


@pytest.mark.parametrize("name", ["ldm", "sd-lora"])
def test_a_base_goes_through_the_store_and_a_changed_byte_is_refused(name: str, bases: Path, store: Store) -> None:
    family, model = family_and_model(name, bases)
    base = family.base()
    assert base is not None and not any(name.startswith(".") for name in base.files)
    store_base(base, store)
    with fetch_base(base.files, store) as folder:
        make = family.maker(family.describe(model), folder)
    made = make()
    made.load_weights(model.weights())
    assert torch.equal(predicted(made), predicted(model))
    with fetch_base(base.files, store) as folder:
        assert folder is not None
        assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == set(base.files)


def test_a_given_latent_pipeline_serves_as_the_reference_and_its_autoencoder_as_the_base(
    bases: Path, tmp_path: Path
) -> None:
    family, model = family_and_model("ldm", bases)
    expected = predicted(model)
    family.save(model, tmp_path / "given")
    study = study_of("ldm", bases, model={"autoencoder": None, "pretrained": str(tmp_path / "given")})
    given = family_of(study.model)
    given.check(study)
    assert not given.trains and torch.equal(predicted(given.build()), expected)
    files = given.given()
    assert files is not None and given.start(files)["base"] == dict(given.base().files)  # type: ignore[union-attr]
    other = family_of(
        study_of(
            "ldm", bases, model={"autoencoder": None, "resolution": 32, "pretrained": str(tmp_path / "given")}
        ).model
    )
    with pytest.raises(PipelineError, match=r"side 8.*make 4 and 16"):
        other.build()


def test_a_bases_dropout_is_switched_off_because_its_random_numbers_are_not_common(own_bases: Path) -> None:
    edit(own_bases / "sd/unet/config.json", dropout=0.5)
    family, model = family_and_model("sd-lora", own_bases)
    data = encoded(model, family)
    model.network.train()
    x, t = data.inputs[:4], torch.tensor([1, 5, 50, 99])
    condition = model.embed(data.prompts[:4])
    torch.manual_seed(1)
    one = model.predict(x, t, condition)
    torch.manual_seed(2)
    assert torch.equal(one, model.predict(x, t, condition))
