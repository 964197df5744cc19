"""Which key other images, another given reference or other statistics change."""

from __future__ import annotations

from typing import Any

import pytest

from infra.digest import sha256
from tasks.properties import resolve_property
from tasks.recipe import (
    data_recipe,
    score_recipe,
)
from tasks.study import Study
from tests.chain import (
    EVERYTHING,
    GIVEN,
    NOTHING,
    PEOPLE,
    PRUNED,
    REFERENCE,
    TAYLOR,
    UNPRUNED,
    UNRECOVERED,
    changed,
    keys,
    owned,
    people,
    study,
    with_field,
)
from tests.test_recipe import TABLE

# Where the reference is given, what would have trained it means nothing, and what its images become still does.
GIVEN_WAYS: list[tuple[dict[str, Any], str, Any, set[str]]] = [
    *(
        ({}, f"model.{f}", TABLE[f"model.{f}"][0], NOTHING)
        for f in ("channels", "norm_groups", "noise_steps", "train_steps")
    ),
    ({}, "model.resolution", 32, EVERYTHING),
    (UNPRUNED, "model.resolution", 32, EVERYTHING),
    ({}, "model.batch_size", 65, PRUNED),  # of the recovery
    ({}, "model.seed", 1, PRUNED),
    (UNPRUNED, "model.seed", 1, NOTHING),
    (UNRECOVERED, "model.seed", 1, NOTHING),
    (TAYLOR, "model.seed", 1, PRUNED),  # of the batches that rank the channels
    (TAYLOR, "model.batch_size", 65, PRUNED),
]


@pytest.mark.parametrize(("way", "path", "value", "expected"), GIVEN_WAYS)
def test_where_the_reference_is_given_only_what_is_still_done_matters(
    way: dict[str, Any], path: str, value: Any, expected: set[str]
) -> None:
    before = study(**{**way, "model": {"pretrained": "somewhere"}})
    assert changed(keys(before, given=GIVEN), keys(with_field(before, path, value), given=GIVEN)) == expected


@pytest.mark.parametrize("is_", ["reference", "base"])
def test_a_given_pipeline_is_its_files_contents_and_not_its_place(is_: str) -> None:
    here = study(model={"pretrained": "here", "pretrained_is": is_})
    there = study(model={"pretrained": "there", "pretrained_is": is_})
    assert keys(here, given=GIVEN) == keys(there, given=dict(reversed(GIVEN.items())))
    other = {**GIVEN, "model_index.json": "3" * 64}
    assert changed(keys(here, given=GIVEN), keys(here, given=other)) == REFERENCE


def test_given_as_a_base_it_is_another_reference_than_given_as_the_reference() -> None:
    sections = [{"model": {"pretrained": "x", "pretrained_is": is_}} for is_ in ("base", "reference")]
    one, other = (keys(study(**s), given=GIVEN) for s in sections)
    assert changed(one, other) == REFERENCE


def test_a_given_base_is_a_baseline_of_its_own() -> None:
    sections: dict[str, Any] = {"model": {"pretrained": "x", "pretrained_is": "base"}, "pruning": {"ratio": 0}}
    untrained, base = (keys(study(**sections, coalition={"baseline": b}), given=GIVEN) for b in ("untrained", "base"))
    assert changed(untrained, base) == {"baseline"}


@pytest.mark.parametrize("way", [{}, UNPRUNED, UNRECOVERED, TAYLOR])
def test_other_training_images_change_everything_a_trained_reference_leads_to(way: dict[str, Any]) -> None:
    assert changed(keys(study(**way)), keys(study(**way), people("ann", "bob", "dan"))) == EVERYTHING


def test_with_a_given_reference_a_taylor_ranking_depends_on_the_images_and_a_magnitude_ranking_does_not() -> None:
    other = people("ann", "bob", "dan")
    for pruning, expected in ((TAYLOR, True), (UNRECOVERED, False)):
        of = study(**pruning, model={"pretrained": "x"})
        assert ("pruned" in changed(keys(of, given=GIVEN), keys(of, other, given=GIVEN))) == expected


def test_held_out_images_name_the_data_and_no_model() -> None:
    other = people("ann", "bob", "cem", heldout=("h1", "h3"))
    assert changed(keys(study()), keys(study(), other)) == {"data"}


def test_reference_statistics_name_the_score() -> None:
    wanted = resolve_property("heldout_loss", study().properties).identity()
    subject = data_recipe(PEOPLE, 16)
    assert len({score_recipe(subject, wanted, s).key for s in ("5" * 64, "6" * 64, None)}) == 3


def test_preprocessing_names_every_model_even_of_a_given_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[tuple[Study, dict[str, str] | None]] = [(study(), None), (study(model={"pretrained": "x"}), GIVEN)]
    before = [keys(of, given=files) for of, files in ways]
    monkeypatch.setattr("tasks.recipe.PREPROCESSING", 2)
    for (of, files), earlier in zip(ways, before, strict=True):
        assert changed(earlier, keys(of, given=files)) == EVERYTHING


def test_images_that_differ_in_total_weight_are_other_data() -> None:
    digest = sha256(b"x")
    one, other = (owned([(digest, {"ann": share}), (sha256(b"y"), {"bob": 1.0})]) for share in (1.0, 0.7))
    assert data_recipe(one, 16).key != data_recipe(other, 16).key


def test_who_owns_an_image_is_not_a_matter_of_the_data() -> None:
    digest = sha256(b"x")
    one, other = (owned([(digest, shares)]) for shares in ({"ann": 1.0}, {"ann": 0.7, "bob": 0.3}))
    assert data_recipe(one, 16).key == data_recipe(other, 16).key
