"""Images are encoded once and kept by content: by whoever asks first, for all who ask for the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, VQModel

from infra.ledger import LatentsRecord, Ledger
from infra.store import Store, StoreError
from tasks.families.stored import AT_ONCE, prepared
from tasks.model.train import TrainingData
from tests.families.building import family_and_model, pixel_data


class Counting:
    """A model that counts the images it encodes."""

    def __init__(self, name: str, bases: Path) -> None:
        self.model: Any = family_and_model(name, bases)[1]
        self.images = 0
        inner: Any = self.model.encode

        def encode(pixels: torch.Tensor) -> torch.Tensor:
            self.images += len(pixels)
            return inner(pixels)

        setattr(self.model, "encode", encode)  # noqa: B010 - to a type checker a method is for ever


def blobs(store: Store) -> list[str]:
    return [key for key in store.list("latents") if key.endswith(".safetensors")]


@pytest.mark.parametrize("name", ["ldm", "ldm-vq", "sd-lora"])
def test_images_are_encoded_once_and_keep_their_names_weights_and_prompts(name: str, bases: Path, store: Store) -> None:
    data = pixel_data(70, prompts=name == "sd-lora")
    first, second = Counting(name, bases), Counting(name, bases)
    made, again = prepared(data, first.model, store), prepared(data, second.model, store)
    assert (first.images, second.images) == (2 * AT_ONCE, 0)
    assert torch.equal(made.inputs, again.inputs) and made.inputs.shape == (70, 4, 8, 8)
    assert made.inputs.stride() == again.inputs.stride()  # else a convolution rounds otherwise, and trainings differ
    assert torch.allclose(made.inputs, second.model.encode(data.inputs), atol=1e-5)
    assert made.digests == data.digests and made.prompts == data.prompts
    assert len(blobs(store)) == len(store.list("ledger/latents")) == 1


@pytest.mark.parametrize("kind", [AutoencoderKL, VQModel])
def test_an_images_latents_depend_neither_on_its_place_nor_on_its_company(
    kind: type[Any], store: Store, bases: Path, tmp_path: Path
) -> None:
    """Of an autoencoder wide enough for a library to round otherwise for other numbers of images."""
    torch.manual_seed(0)
    wide = kind(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(32, 64),
    )
    wide.save_pretrained(tmp_path / "wide")
    model = family_and_model("ldm", bases, model={"autoencoder": str(tmp_path / "wide")})[1]
    everybody = pixel_data(AT_ONCE + 6)
    expected = prepared(everybody, model, store).inputs
    for rows in (list(range(5)), list(range(AT_ONCE + 5, -1, -1)), [AT_ONCE + 2], [*range(3, AT_ONCE + 6), 1]):
        data = TrainingData(everybody.inputs[rows], tuple(everybody.digests[i] for i in rows), np.ones(len(rows)))
        assert torch.equal(prepared(data, model, store).inputs, expected[rows])


def test_pixels_of_a_model_without_an_encoder_stay_as_they_are(bases: Path, store: Store) -> None:
    data = pixel_data()
    assert prepared(data, family_and_model("ddpm", bases)[1], store) is data
    assert not store.list("latents") and not store.list("ledger")


def test_other_images_or_another_encoder_have_a_key_of_their_own(bases: Path, store: Store) -> None:
    data = pixel_data()
    for name, images in (("ldm", data), ("ldm", pixel_data(seed=1)), ("ldm-vq", data)):
        prepared(images, Counting(name, bases).model, store)
    assert len(store.list("ledger/latents")) == 3


def test_whose_images_they_are_is_not_a_matter_of_their_latents(bases: Path, store: Store) -> None:
    data, second = pixel_data(), Counting("ldm", bases)
    prepared(data, Counting("ldm", bases).model, store)
    prepared(dataclasses.replace(data, weights=np.arange(20.0)), second.model, store)
    assert second.images == 0


def test_the_adapters_of_a_pipeline_and_a_latent_model_share_what_one_autoencoder_made(
    bases: Path, store: Store
) -> None:
    second = Counting("sd-lora", bases)
    prepared(pixel_data(), Counting("ldm", bases).model, store)
    prepared(pixel_data(prompts=True), second.model, store)
    assert second.images == 0


def test_what_was_tidied_away_is_encoded_again_to_the_same_bits(bases: Path, store: Store) -> None:
    data, second = pixel_data(), Counting("ldm", bases)
    made = prepared(data, Counting("ldm", bases).model, store)
    (blob,) = blobs(store)
    store.delete(blob)
    assert torch.equal(prepared(data, second.model, store).inputs, made.inputs) and second.images > 0
    assert blobs(store) == [blob]


def test_a_changed_byte_is_refused(bases: Path, store: Store) -> None:
    data, model = pixel_data(), Counting("ldm", bases).model
    prepared(data, model, store)
    path = Path(store.where(blobs(store)[0]))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="sha256"):
        prepared(data, model, store)


def test_of_two_who_race_with_other_bits_the_first_in_the_ledger_counts_for_both(bases: Path, store: Store) -> None:
    """Another card rounds otherwise: the slower one takes what the faster one recorded."""
    data, slow = pixel_data(), Counting("ldm", bases)
    inner: Any = slow.model.encode
    faster: list[TrainingData] = []

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        found = inner(pixels)
        if not faster:  # while we encode, somebody else records theirs
            faster.append(prepared(data, Counting("ldm", bases).model, store))
        return found + 1e-4

    slow.model.encode = encode
    ours = prepared(data, slow.model, store)
    assert torch.equal(ours.inputs, faster[0].inputs)
    third = Counting("ldm", bases)
    assert torch.equal(prepared(data, third.model, store).inputs, ours.inputs) and third.images == 0
    (key,) = store.list("ledger/latents")
    record = Ledger(store).get(LatentsRecord, Path(key).stem)
    assert record is not None and store.exists(f"latents/{record.sha256}.safetensors")
