"""Which change of a study changes which key: everything that decides a result does, nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from infra.digest import sha256
from tasks.partition import Contributor, Image, Partition
from tasks.properties import resolve_property
from tasks.recipe import (
    data_recipe,
    model_recipe,
    pruned_recipe,
    reference_recipe,
    samples_recipe,
    score_recipe,
)
from tasks.study import Study

GIVEN = {"unet/weights.safetensors": "1" * 64, "model_index.json": "2" * 64}


def people(*names: str, images: int = 3, heldout: tuple[str, ...] = ("h1", "h2")) -> Partition:
    """A partition by hand: each contributor owns `images` images of their own, and shares one with the one before."""
    rows: list[tuple[str, dict[str, float]]] = []
    for position, name in enumerate(names):
        rows += [(sha256(f"{name}/{i}".encode()), {name: 1.0}) for i in range(images)]
        if position:
            previous = names[position - 1]
            rows.append((sha256(f"{previous}+{name}".encode()), {previous: 0.7, name: 0.3}))
    return owned(rows, heldout)


def owned(rows: list[tuple[str, dict[str, float]]], heldout: tuple[str, ...] = ("h1", "h2")) -> Partition:
    rows = sorted(rows)
    names = sorted({name for _, shares in rows for name in shares})
    total = sum(sum(shares.values()) for _, shares in rows)
    contributors = []
    for name in names:
        of_theirs = [(digest, shares[name]) for digest, shares in rows if name in shares]
        count = sum(share for _, share in of_theirs)
        contributors.append(Contributor(name, count, 0.0, count / total, sha256(repr(of_theirs).encode())))
    return Partition(
        contributors=tuple(contributors),
        images=tuple(Image(f"{d[:6]}.png", d, tuple(sorted(s.items())), None, False) for d, s in rows),
        problems=(),
        train_digests=tuple(digest for digest, _ in rows),
        heldout_digests=tuple(sorted(sha256(h.encode()) for h in heldout)),
        ownership=np.array([[shares.get(name, 0.0) for name in names] for _, shares in rows]),
        train_pixels=np.zeros((len(rows), 8, 8, 3), np.uint8),
        heldout_pixels=np.zeros((len(heldout), 8, 8, 3), np.uint8),
    )


PEOPLE = people("ann", "bob", "cem")


def keys(study: Study, partition: Partition = PEOPLE, given: dict[str, str] | None = None) -> dict[str, str]:
    """Every key of the chain: what everybody shares, one coalition, the baseline, and a score of each property."""
    data = data_recipe(partition, study.model.resolution)
    reference = reference_recipe(study.model, data, given)
    pruned = pruned_recipe(study.pruning, study.model, reference, data)
    seed = study.coalition.seed
    model = model_recipe(pruned, [c.fingerprint for c in partition.contributors[:2]], study, seed)
    baseline = model_recipe(pruned, [], study, seed)
    samples = samples_recipe(model, study, seed)
    recipes = {
        "data": data,
        "reference": reference,
        "pruned": pruned,
        "model": model,
        "baseline": baseline,
        "samples": samples,
    }
    for name in ("heldout_loss", "frechet_lite", "cluster_entropy", "colourfulness"):
        wanted = resolve_property(name, study.properties)
        subject = samples if wanted.needs == "samples" else model
        recipes[name] = score_recipe(subject, wanted.identity(), "5" * 64)
    return {name: recipe.key for name, recipe in recipes.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def study(**sections: Any) -> Study:
    return Study(**sections)


def with_field(of: Study, path: str, value: Any) -> Study:
    """The same study with one field changed, validated anew."""
    content = of.model_dump()
    *sections, name = path.split(".")
    here = content
    for section in sections:
        here = here[section]
    here[name] = value
    return Study.model_validate(content)


NOTHING: set[str] = set()
FROM_SAMPLES = {"frechet_lite", "cluster_entropy", "colourfulness"}
SAMPLES = {"samples"} | FROM_SAMPLES
MODEL = {"model", "heldout_loss"} | SAMPLES
PRUNED = {"pruned", "baseline"} | MODEL
REFERENCE = {"reference"} | PRUNED
EVERYTHING = {"data"} | REFERENCE

# Every field of a study, another value, and the keys that it changes where a reference is trained, pruned magnitude-wise,
# recovered, and coalitions are fine-tuned.
TABLE: dict[str, tuple[Any, set[str]]] = {
    "name": ("other", NOTHING),
    # What these do to the images and their owners shows in the partition; see the tests of partitions below.
    "data.url": ("s3://elsewhere", NOTHING),
    "data.contributor_column": ("owner", NOTHING),
    "data.date_column": ("when", NOTHING),
    "data.only": (["ann", "bob"], NOTHING),
    "data.minimum_images": (3, NOTHING),
    "data.small_contributors": ("drop", NOTHING),
    "data.heldout_fraction": (0.3, NOTHING),
    "data.heldout_salt": ("x", NOTHING),
    "data.maximum_megapixels": (1.0, NOTHING),
    "model.pretrained": ("somewhere", NOTHING),  # the place is nothing, its files' digests are all
    "model.pretrained_is": ("base", NOTHING),
    "model.resolution": (32, EVERYTHING),
    "model.channels": ([16, 32], REFERENCE),
    "model.layers_per_block": (2, REFERENCE),
    "model.attention_levels": ([1], REFERENCE),
    "model.norm_groups": (4, REFERENCE),
    "model.noise_steps": (500, REFERENCE),
    "model.beta_schedule": ("linear", REFERENCE),
    "model.train_steps": (1499, REFERENCE),
    "model.batch_size": (65, REFERENCE),
    "model.learning_rate": (1e-3, REFERENCE),
    "model.ema_decay": (0.99, REFERENCE),
    "model.seed": (1, REFERENCE),
    "pruning.ratio": (0.4, PRUNED),
    "pruning.importance": ("taylor", PRUNED),
    "pruning.recovery_steps": (299, PRUNED),
    "pruning.learning_rate": (2e-3, PRUNED),
    "coalition.mode": ("retrain", MODEL),
    "coalition.steps": (149, MODEL),
    "coalition.retrain_steps": (999, NOTHING),
    "coalition.batch_size": (65, MODEL),
    "coalition.learning_rate": (2e-3, MODEL),
    "coalition.baseline": (None, NOTHING),  # see test_a_given_base_is_a_baseline_of_its_own
    "coalition.seed": (7, MODEL | {"baseline"}),
    "coalition.audit_seeds": ([5], NOTHING),
    "coalition.audit_coalitions": (9, NOTHING),
    "sampling.sampler": ("dpmsolver++", SAMPLES),
    "sampling.steps": (21, SAMPLES),
    "sampling.images": (257, SAMPLES),
    "sampling.batch_size": (63, NOTHING),
    "sampling.seed": (1, SAMPLES),
    "properties.names": (["heldout_loss"], NOTHING),
    "properties.feature_size": (128, {"frechet_lite", "cluster_entropy"}),
    "properties.frechet_components": (16, {"frechet_lite"}),
    "properties.clusters": (13, {"cluster_entropy"}),
    "properties.heldout_timesteps": (11, {"heldout_loss"}),
    "properties.inception_weights": ("inception.pt", NOTHING),
    "estimation.budget": (99, NOTHING),
    "estimation.design": ("kernelshap", NOTHING),
    "estimation.estimator": ("kernelshap_sizes", NOTHING),
    "estimation.reuse": (False, NOTHING),
    "estimation.stop_width": (0.1, NOTHING),
    "estimation.stop_relative_width": (0.1, NOTHING),
    "estimation.stop_top": (3, NOTHING),
    "estimation.stop_level": (0.95, NOTHING),
    "estimation.batch": (8, NOTHING),
    "estimation.seed": (1, NOTHING),
    "execution.mode": ("inline", NOTHING),
    "execution.workers": (7, NOTHING),
    "execution.device": ("cuda", NOTHING),
    "execution.retries": (3, NOTHING),
    "execution.failure_tolerance": (0.5, NOTHING),
    "execution.keep_weights_below_mb": (0.0, NOTHING),
    "execution.checkpoint_seconds": (99.0, NOTHING),
}


def fields_of(kind: type[BaseModel], before: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= fields_of(inner, f"{before}{name}.")
        else:
            found.add(before + name)
    return found


def test_the_table_knows_every_field_of_a_study() -> None:
    assert set(TABLE) == fields_of(Study)


@pytest.mark.parametrize("path", [path for path, (value, _) in TABLE.items() if value is not None])
def test_a_field_changes_the_keys_it_decides_and_no_other(path: str) -> None:
    value, expected = TABLE[path]
    other = with_field(study(), path, value)
    assert other != study()
    assert changed(keys(study()), keys(other)) == expected


# In other ways of working other fields matter: (what the study is, field, another value, keys).
RETRAIN = {"coalition": {"mode": "retrain"}}
UNPRUNED = {"pruning": {"ratio": 0}}
UNRECOVERED = {"pruning": {"recovery_steps": 0}}
TAYLOR = {"pruning": {"importance": "taylor", "recovery_steps": 0}}
AVERAGE = {"model": {"ema_decay": 0.9999}}
WAYS: list[tuple[dict[str, Any], str, Any, set[str]]] = [
    (RETRAIN, "coalition.steps", 149, NOTHING),
    (RETRAIN, "coalition.learning_rate", 2e-3, NOTHING),
    (RETRAIN, "coalition.retrain_steps", 999, MODEL),
    (UNPRUNED, "pruning.importance", "taylor", NOTHING),
    (UNPRUNED, "pruning.recovery_steps", 299, NOTHING),
    (UNPRUNED, "pruning.learning_rate", 2e-3, NOTHING),
    (UNRECOVERED, "pruning.learning_rate", 2e-3, NOTHING),
    (UNRECOVERED, "pruning.importance", "taylor", PRUNED),
    (AVERAGE, "model.ema_decay", 0.99999, NOTHING),  # both slower than the bound, which is what is used
]


@pytest.mark.parametrize(("way", "path", "value", "expected"), WAYS)
def test_a_field_that_a_way_of_working_does_not_use_changes_nothing_there(
    way: dict[str, Any], path: str, value: Any, expected: set[str]
) -> None:
    before = study(**way)
    assert changed(keys(before), keys(with_field(before, path, value))) == expected


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


# Who is in the game.


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


def test_images_that_differ_in_total_weight_are_other_data() -> None:
    digest = sha256(b"x")
    one, other = (owned([(digest, {"ann": share}), (sha256(b"y"), {"bob": 1.0})]) for share in (1.0, 0.7))
    assert data_recipe(one, 16).key != data_recipe(other, 16).key


def test_who_owns_an_image_is_not_a_matter_of_the_data() -> None:
    digest = sha256(b"x")
    one, other = (owned([(digest, shares)]) for shares in ({"ann": 1.0}, {"ann": 0.7, "bob": 0.3}))
    assert data_recipe(one, 16).key == data_recipe(other, 16).key
