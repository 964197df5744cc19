"""Inside an epoch the frozen images count: for what is made later too, and with a clear word when they are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.attribute import attribute
from flows.validate_data import validate_data
from infra.store import Store
from tasks.epoch.records import read_epochs
from tasks.images_gone import ImagesGone
from tasks.study import Study
from tests.flows.reading import made, manifest, table
from tests.small import DESIGNERS, small_study


def study(data: Path, *who: str, **sections: Any) -> Study:
    """One that stays in its epoch, of these designers."""
    given = {"epoch": {"drift": 0.99}, "data": {"url": str(data), "only": list(who)}, **sections}
    return small_study(data, name="frozen", **given)


@pytest.fixture
def joined(data: Path, store: Store) -> Store:
    """Three designers' epoch, in which a fourth has joined."""
    few = {"estimation": {"budget": 8}, "properties": {"names": ["heldout_loss"], "heldout_timesteps": 3}}
    attribute(study(data, *DESIGNERS[:3], **few))
    attribute(study(data, *DESIGNERS, properties=few["properties"]))
    return store


def test_a_joiner_changes_neither_reference_nor_statistics_and_what_is_held_out_stays(
    joined: Store, data: Path
) -> None:
    (epoch,) = read_epochs(joined, "frozen")
    said = manifest(joined, "frozen")
    assert said["epoch"]["number"] == epoch.number == 1 and epoch.contributors == 3
    assert said["data"] != said["epoch"]["data"] == epoch.recipe.key
    assert said["reference"]["key"] == epoch.reference and said["pruned"]["key"] == epoch.pruned
    assert len(joined.list("ledger/statistics")) == 1
    assert 0 < said["epoch"]["drift"] < 0.99


def test_coalitions_without_the_joiner_are_found_in_the_ledger(joined: Store) -> None:
    evaluations = table(joined, "frozen", "evaluations.parquet")
    evaluations = evaluations[evaluations["role"] != "audit"]
    others = evaluations[~evaluations[f"in:{DESIGNERS[3]}"]]
    assert len(others) == 8 and others["cached"].all()


def test_a_property_added_inside_an_epoch_is_measured_against_its_frozen_images(joined: Store, data: Path) -> None:
    networks = made(joined)
    attribute(study(data, *DESIGNERS, properties={"names": ["heldout_loss", "colourfulness"], "heldout_timesteps": 4}))
    said = manifest(joined, "frozen")
    assert said["epoch"]["number"] == 1
    assert made(joined).items() >= networks.items() and len(read_epochs(joined, "frozen")) == 1
    # The statistics of heldout_loss with other noise levels rest on what three designers held out, not four.
    (epoch,) = read_epochs(joined, "frozen")
    arrays = joined.load_arrays(f"statistics/{said['statistics']['heldout_loss']}.safetensors")
    assert any(len(array) == len(epoch.data.heldout) for array in arrays.values())


def test_where_the_frozen_images_are_gone_what_needs_them_says_so_and_everything_else_goes_on(
    joined: Store, data: Path
) -> None:
    (epoch,) = read_epochs(joined, "frozen")
    joined.delete(f"data/{epoch.pixels}.safetensors")
    attribute(study(data, *DESIGNERS, properties={"names": ["heldout_loss"], "heldout_timesteps": 3}))
    with pytest.raises(ImagesGone, match="epoch 1 rests on are no longer in the store"):
        attribute(study(data, *DESIGNERS, properties={"names": ["heldout_loss"], "heldout_timesteps": 4}))
    attribute(study(data, *DESIGNERS, properties={"names": ["heldout_loss"], "heldout_timesteps": 4}), new_epoch=True)
    assert manifest(joined, "frozen")["epoch"]["number"] == 2


def test_validate_data_says_which_epoch_a_run_would_belong_to_and_opens_none(joined: Store, data: Path) -> None:
    before = joined.list("epochs")
    found = validate_data(study(data, *DESIGNERS[:3]))
    assert found.epoch.startswith("epoch 1 goes on") and found.reference.is_there and found.pruned.is_there
    found = validate_data(study(data, *DESIGNERS, epoch={"drift": 0.0}))
    assert found.epoch.startswith("a new one opens:") and not found.reference.is_there
    assert joined.list("epochs") == before


def test_an_epoch_that_cannot_be_read_stops_a_run_before_anything_is_trained(joined: Store, data: Path) -> None:
    networks = made(joined)
    joined.write("epochs/frozen/00000001.json", b"{}")
    with pytest.raises(Exception, match="is not an epoch"):
        attribute(study(data, *DESIGNERS))
    assert made(joined) == networks
