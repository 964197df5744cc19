"""What an epoch froze is fetched only when it is needed, and is what was frozen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from infra.store import Store, StoreError
from tasks.frozen import Frozen, ImagesGone, epoch_at_hand, frozen_in_store
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
        assert np.array_equal(one.everybody.pixels.numpy(), PEOPLE.train_pixels)
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
