"""Epochs in the store: added once, read to the letter, and never taken for another's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.store import Store, StoreError
from tasks.epoch.records import images_of_epochs, open_epoch, read_epoch, read_epochs
from tests.epoch.test_choose import ABCD, epoch, images


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_what_was_opened_is_read_again_with_the_same_key(store: Store) -> None:
    first, second = epoch(1, ABCD), epoch(2, images("a", "b"), pixels="4" * 64)
    for record in (second, first):
        open_epoch(record, store)
    assert read_epochs(store, "art") == (first, second) and read_epochs(store, "other") == ()
    assert read_epoch(store, "art", 1).recipe.key == ABCD.key
    with pytest.raises(FileNotFoundError):
        read_epoch(store, "art", 3)


def test_opening_twice_is_once_and_another_of_the_same_number_is_refused(store: Store) -> None:
    open_epoch(epoch(1, ABCD), store)
    open_epoch(epoch(1, ABCD), store)
    with pytest.raises(StoreError, match="there already"):
        open_epoch(epoch(1, images("a", "b")), store)
    assert read_epochs(store, "art") == (epoch(1, ABCD),)


def test_the_images_of_the_newest_epoch_of_each_study_are_kept(store: Store) -> None:
    open_epoch(epoch(1, ABCD, pixels="1" * 64), store)
    open_epoch(epoch(2, images("a", "b"), pixels="2" * 64), store)
    open_epoch(epoch(1, ABCD, study="crafts", pixels="3" * 64), store)
    assert images_of_epochs(store) == {
        f"data/{'2' * 64}.safetensors": "epoch 2 of art",
        f"data/{'3' * 64}.safetensors": "epoch 1 of crafts",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reference", "no digest"),
        ("opened", "yesterday"),
        ("pixels", None),
        ("surprise", 1),
        ("data", {"preprocessing": 1, "resolution": 8, "train": [["x", 1.0]], "heldout": []}),
    ],
)
def test_what_is_no_epoch_is_refused_by_name(store: Store, field: str, value: object) -> None:
    record = json.loads(epoch(1, ABCD).model_dump_json())
    store.write("epochs/art/00000001.json", json.dumps({**record, field: value}).encode())
    with pytest.raises(StoreError, match=r"epochs/art/00000001\.json is not an epoch"):
        read_epochs(store, "art")


def test_an_epoch_that_was_moved_to_another_study_or_number_is_refused(store: Store) -> None:
    content = epoch(1, ABCD).model_dump_json().encode()
    for key in ("epochs/art/00000002.json", "epochs/crafts/00000001.json"):
        store.write(key, content)
    for study in ("art", "crafts"):
        with pytest.raises(StoreError, match="somebody moved it"):
            read_epochs(store, study)


def test_files_beside_the_epochs_are_somebodys_notes(store: Store) -> None:
    open_epoch(epoch(1, ABCD), store)
    store.write("epochs/art/notes.json", b"mine")
    assert len(read_epochs(store, "art")) == 1
