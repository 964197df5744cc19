"""What an evaluation lacks, where things were removed from the store since."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.plan.lacking import Lack, lacking, whole
from tests.plan.chained import NOTHING, held, job, study


def test_of_what_nothing_is_there_everything_is_lacking_and_the_empty_coalition_is_not_trained() -> None:
    assert lacking(job(study()), NOTHING) == whole(job(study()))
    assert lacking(job(study(), ()), NOTHING) == Lack(True, False, True, ("heldout_loss", "colourfulness"))


@pytest.mark.parametrize(
    ("scored", "weights", "images", "expected"),
    [
        (("colourfulness",), True, True, Lack(False, False, False, ("heldout_loss",))),
        (("heldout_loss",), True, True, Lack(False, False, False, ("colourfulness",))),
        (("heldout_loss",), False, True, Lack(False, False, False, ("colourfulness",))),  # kept images are enough
        (("heldout_loss",), True, False, Lack(False, False, True, ("colourfulness",))),  # drawn from kept weights
        (("heldout_loss",), False, False, Lack(True, True, True, ("colourfulness",))),
        (("colourfulness",), False, True, Lack(True, True, False, ("heldout_loss",))),
    ],
)
def test_what_was_removed_from_the_store_is_made_again_only_where_it_is_needed(
    scored: tuple[str, ...], weights: bool, images: bool, expected: Lack
) -> None:
    there = held(job(study()), scored=scored)
    there = replace(there, weights=there.weights if weights else set(), images=there.images if images else set())
    assert lacking(job(study()), there) == expected


def test_weights_that_are_not_to_be_kept_are_used_as_long_as_the_store_has_them() -> None:
    there = held(job(study()), scored=("colourfulness",))
    models = {key: record.model_copy(update={"kept": False}) for key, record in there.models.items()}
    left = replace(there, models=models)  # by a worker that was killed before it had scored
    assert lacking(job(study()), left) == Lack(False, False, False, ("heldout_loss",))
    assert lacking(job(study()), replace(left, weights=set())) == Lack(True, True, False, ("heldout_loss",))
