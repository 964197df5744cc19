"""What an epoch costs: whom the pruned model has not seen, and whose images it still holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.frozen import Epoch, Frozen
from tasks.partition import Partition
from tasks.recipe import Recipe
from tasks.statements.standing import epoch_standing
from tests.statements.published import partition_of


def today(owned: dict[str, list[float]]) -> Partition:
    """A, B and C own these parts of the images, by digest."""
    people = partition_of(("A", "a"), ("B", "b"), ("C", "c"))
    return replace(people, train_digests=tuple(owned), ownership=np.array(list(owned.values())))


def epoch(*train: tuple[str, float]) -> Epoch:
    recipe = Recipe("data", {"train": [list(each) for each in train], "heldout": []})

    def never() -> Frozen:
        raise AssertionError("nobody needs the images for this")

    return Epoch(2, "2026-01-01T00:00:00+00:00", "it was asked for", recipe, 0.25, never)


def test_todays_images_cost_nothing() -> None:
    standing = epoch_standing(epoch(("1", 1.0), ("2", 1.5)), today({"1": [1, 0, 0], "2": [0, 0.5, 1]}))
    assert (standing.number, standing.drift, standing.unseen, standing.left) == (2, 0.25, {}, 0.0)


def test_who_has_less_than_half_of_their_images_in_the_epoch_is_named() -> None:
    standing = epoch_standing(
        epoch(("1", 1.0), ("2", 1.0)),
        today({"1": [1, 0, 0], "2": [0, 1, 0], "3": [0, 1, 0.5], "4": [0.5, 0, 0], "5": [0, 0.1, 0.5]}),
    )
    assert standing.unseen == {"B": pytest.approx(1 / 2.1), "C": 0.0}, "A has 1 of 1.5"
    assert standing.left == 0.0


def test_a_leavers_images_are_still_in_the_epoch_and_so_is_the_share_of_one_owner_of_two() -> None:
    standing = epoch_standing(
        epoch(("1", 1.0), ("gone", 2.0), ("2", 1.0)), today({"1": [1, 0, 0], "2": [0, 0.25, 0.25]})
    )
    assert standing.left == pytest.approx(2.5 / 4) and standing.unseen == {}
