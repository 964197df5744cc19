"""What an epoch froze is fetched only when it is needed, and is what was frozen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.store import Store, StoreError
from tasks.frozen import Frozen, epoch_at_hand, frozen_in_store
from tasks.images_gone import ImagesGone
from tasks.recipe import data_recipe
from tests.chain import people

PEOPLE = people("ann", "bob")
DATA = data_recipe(PEOPLE, 8)


def test_frozen_images_train_and_measure_as_todays_do(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    pixels = store.save_named_by_content("data", PEOPLE.stored())
    there = frozen_in_store(DATA, pixels, "epoch 1", store)
    here = epoch_at_hand(PEOPLE, DATA).images
    for one, other in ((there, here), (here, there)):
        assert one.everybody.digests == other.everybody.digests == PEOPLE.train_digests
        assert np.array_equal(one.everybody.weights, PEOPLE.ownership.sum(axis=1))
        assert np.array_equal(one.everybody.inputs.numpy(), PEOPLE.train_pixels)
        assert one.real.heldout_digests == PEOPLE.heldout_digests


def test_images_that_were_removed_are_said_to_be_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImagesGone, match=r"epoch 3 rests on are no longer in the store.*new_epoch"):
        frozen_in_store(DATA, "1" * 64, "epoch 3", Store(str(tmp_path)))


def test_other_images_than_the_recipe_names_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(ValueError, match="where the recipe names"):
        Frozen(DATA, PEOPLE.train_pixels[1:], PEOPLE.heldout_pixels)
    pixels = store.save_named_by_content("data", PEOPLE.stored())
    Path(store.where(f"data/{pixels}.safetensors")).write_bytes(b"other bytes")
    with pytest.raises(StoreError, match="does not have the sha256"):
        frozen_in_store(DATA, pixels, "epoch 1", store)


TOLD = replace(
    PEOPLE,
    train_prompts=tuple(f"ein Käse, number {row}" for row in range(len(PEOPLE.train_digests))),
    heldout_prompts=("a cat", "a dog"),
)


def test_prompts_are_frozen_with_their_images(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    there = frozen_in_store(DATA, store.save_named_by_content("data", TOLD.stored()), "epoch 1", store)
    here = epoch_at_hand(TOLD, DATA).images
    assert there.train_prompts == here.train_prompts == TOLD.train_prompts
    assert there.heldout_prompts == here.heldout_prompts == TOLD.heldout_prompts
    without = frozen_in_store(DATA, store.save_named_by_content("data", PEOPLE.stored()), "epoch 1", store)
    assert without.train_prompts == without.heldout_prompts == ()


def test_another_number_of_prompts_than_of_images_is_refused(tmp_path: Path) -> None:
    pixels = TOLD.train_pixels, TOLD.heldout_pixels
    for train, heldout in (
        (TOLD.train_prompts[1:], TOLD.heldout_prompts),
        (TOLD.train_prompts, ()),
        ((), TOLD.heldout_prompts),
    ):
        with pytest.raises(ValueError, match="prompts of training"):
            Frozen(DATA, *pixels, train, heldout)
    store = Store(str(tmp_path))
    short = replace(TOLD, train_prompts=TOLD.train_prompts[1:])
    with pytest.raises(StoreError, match="train_prompts are"):
        frozen_in_store(DATA, store.save_named_by_content("data", short.stored()), "epoch 1", store)
