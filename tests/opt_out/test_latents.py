"""Latents are images: whoever opts out is in none that stay, and nobody's next run misses any."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from infra.ledger import LatentsRecord, Ledger
from infra.opt_outs import Removal, removal
from infra.store import Store
from tasks.families import family_of
from tasks.families.stored import latents_are_stored, prepared
from tasks.images_gone import ImagesGone
from tasks.model.model import Model
from tasks.opt_out.remove import come_back, opt_out
from tasks.opt_out.text import lines
from tests.families.building import SIDE, autoencoder, pixel_data, study_of

LEAVER = "Emily Jäger"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    bases = tmp_path_factory.mktemp("bases")
    autoencoder().save_pretrained(bases / "kl")
    return family_of(study_of("ldm", bases).model).build()


def leave(store: Store) -> Removal:
    opt_out(store, LEAVER, "her letter", "a test", print, unknown=True)
    log = removal(store, LEAVER, 1)
    assert log is not None
    return log


def test_all_latents_go_with_the_prepared_images_and_are_encoded_again_to_the_same(store: Store, model: Model) -> None:
    data = pixel_data(6)
    before = prepared(data, model, store).inputs
    (key,) = store.list("latents")
    store.write(f"data/{'a' * 64}.safetensors", b"images and prompts")
    assert torch.allclose(model.encode(data.inputs), before, atol=1e-5), "who has the autoencoder has the images"

    left = opt_out(store, LEAVER, "her letter", "a test", print, unknown=True)
    assert store.list("latents") == store.list("data") == []
    assert left.removed["latents"][0] == left.removed["data"][0] == 1
    assert "1 sets of images as an autoencoder encodes them" in lines(left)
    assert Ledger(store).all(LatentsRecord) and not latents_are_stored(model.encoder, SIDE, data.digests, store)

    assert torch.equal(prepared(data, model, store).inputs, before)
    assert store.list("latents") == [key] and latents_are_stored(model.encoder, SIDE, data.digests, store)


def test_a_machine_that_comes_back_after_an_opt_out_stores_no_latents_of_images_that_were_removed(
    store: Store, model: Model
) -> None:
    def gone() -> None:
        raise ImagesGone("removed")

    with pytest.raises(ImagesGone):
        prepared(pixel_data(6), model, store, check=gone)
    assert not store.list("latents") and not Ledger(store).all(LatentsRecord)


def test_latents_whose_images_are_removed_while_they_are_stored_are_removed_again(store: Store, model: Model) -> None:
    looks = iter([None, ImagesGone("removed")])

    def check() -> None:
        if (found := next(looks)) is not None:
            raise found

    with pytest.raises(ImagesGone):
        prepared(pixel_data(6), model, store, check=check)
    assert not store.list("latents")


def test_what_is_added_while_an_opt_out_removes_goes_too(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(f"data/{'a' * 64}.safetensors", b"images and prompts")
    delete = Store.delete

    def beside(self: Store, key: str) -> None:
        if key.startswith("data/"):  # the last moment at which somebody else finds the images
            prepared(pixel_data(6), model, store)
        delete(self, key)

    monkeypatch.setattr(Store, "delete", beside)
    leave(store)
    assert store.list("data") == store.list("latents") == []


def test_latents_that_were_made_since_they_left_stay(store: Store, model: Model) -> None:
    prepared(pixel_data(6), model, store)
    assert leave(store).removed.keys() == {"latents"}
    prepared(pixel_data(5), model, store)
    made = store.list("latents")
    leave(store)
    assert store.list("latents") == made


def test_after_a_crash_the_same_opt_out_takes_the_latents_too(
    store: Store, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pixel_data(6), model, store)
    delete = Store.delete

    def dies(self: Store, key: str) -> None:
        if key.startswith("latents/"):
            raise OSError("the machine is gone")
        delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", dies)
        with pytest.raises(OSError, match="the machine is gone"):
            leave(store)
    assert store.list("latents") and removal(store, LEAVER, 1) is None
    leave(store)
    assert store.list("latents") == []


def test_whoever_returned_and_leaves_again_is_in_no_latents_of_the_time_between(store: Store, model: Model) -> None:
    leave(store)
    come_back(store, LEAVER, "her letter", "a test")
    prepared(pixel_data(6), model, store)
    opt_out(store, LEAVER, "her third letter", "a test", print, unknown=True)
    assert store.list("latents") == []
