"""Who is in a coalition names it, and nobody else does: so joiners and leavers change no key of the others."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import sha256
from tasks.partition import Partition
from tasks.recipe import (
    data_recipe,
    model_recipe,
    pruned_recipe,
    reference_recipe,
    samples_recipe,
)
from tests.chain import (
    PEOPLE,
    owned,
    study,
)


def coalition_keys(partition: Partition, names: tuple[str, ...]) -> tuple[str, str]:
    """Model and samples of a coalition, in an epoch that was opened with PEOPLE."""
    of = study()
    data = data_recipe(PEOPLE, of.model.resolution)
    pruned = pruned_recipe(of.pruning, of.model, reference_recipe(of.model, data, None), data)
    fingerprints = [c.fingerprint for c in partition.contributors if c.name in names]
    assert len(fingerprints) == len(names)
    model = model_recipe(pruned, fingerprints, of, 0)
    return model.key, samples_recipe(model, of, 0).key


COALITIONS = [(), ("ann",), ("bob", "cem"), ("ann", "bob", "cem")]


@pytest.mark.parametrize("names", COALITIONS)
@pytest.mark.parametrize("joiner", ["aaa", "bea", "zoe"])
def test_a_joiner_changes_no_key_of_a_coalition_without_them(names: tuple[str, ...], joiner: str) -> None:
    rows = [(image.digest, dict(image.shares)) for image in PEOPLE.images]
    joined = owned([*rows, *((sha256(f"{joiner}/{i}".encode()), {joiner: 1.0}) for i in range(4))])
    assert coalition_keys(joined, names) == coalition_keys(PEOPLE, names)
    assert coalition_keys(joined, (*names, joiner)) != coalition_keys(PEOPLE, names)


def test_a_leaver_changes_no_key_of_a_coalition_without_them() -> None:
    rows = [(i.digest, dict(i.shares)) for i in PEOPLE.images if "cem" not in dict(i.shares)]
    rows += [(i.digest, {"bob": 0.7}) for i in PEOPLE.images if dict(i.shares) == {"bob": 0.7, "cem": 0.3}]
    assert coalition_keys(owned(rows), ("ann", "bob")) == coalition_keys(PEOPLE, ("ann", "bob"))


def test_a_contributor_who_is_renamed_is_the_same_contributor() -> None:
    renamed = dataclasses.replace(
        PEOPLE, contributors=tuple(dataclasses.replace(c, name=f"{c.name}-smith") for c in PEOPLE.contributors)
    )
    assert coalition_keys(renamed, ("ann-smith", "cem-smith")) == coalition_keys(PEOPLE, ("ann", "cem"))


def test_a_member_whose_images_or_shares_changed_changes_the_keys_with_them_only() -> None:
    shares = {"bob": 0.6, "cem": 0.4}
    rows = [(i.digest, shares if dict(i.shares) == {"bob": 0.7, "cem": 0.3} else dict(i.shares)) for i in PEOPLE.images]
    for names, same in ((("ann",), True), (("ann", "bob"), False), (("cem",), False)):
        assert (coalition_keys(owned(rows), names) == coalition_keys(PEOPLE, names)) == same


FINGERPRINTS = st.lists(st.sampled_from([sha256(bytes([i])) for i in range(6)]), unique=True)


@given(FINGERPRINTS, FINGERPRINTS)
def test_coalitions_have_equal_keys_exactly_if_they_have_equal_members_in_any_order(
    one: list[str], other: list[str]
) -> None:
    of = study()
    data = data_recipe(PEOPLE, 16)
    pruned = pruned_recipe(of.pruning, of.model, reference_recipe(of.model, data, None), data)
    same = set(one) == set(other)
    assert (model_recipe(pruned, one, of, 0).key == model_recipe(pruned, other, of, 0).key) == same


def test_a_repeat_under_another_seed_is_another_model_and_draws_other_noise() -> None:
    pruned = data_recipe(PEOPLE, 16)  # any recipe stands for the pruned model
    base = study(
        model={"pretrained": "x", "pretrained_is": "base"}, pruning={"ratio": 0}, coalition={"baseline": "base"}
    )
    for members in (["1" * 64], []):
        assert model_recipe(pruned, members, study(), 0).key != model_recipe(pruned, members, study(), 1).key
    fixed = [model_recipe(pruned, [], base, seed) for seed in (0, 1)]
    assert fixed[0].key == fixed[1].key  # a given base has no seed
    assert samples_recipe(fixed[0], base, 0).key != samples_recipe(fixed[1], base, 1).key
