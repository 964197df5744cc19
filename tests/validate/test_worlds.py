"""The ways in which a study is made for its proof: which coalitions, and what differs from the study's own way."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.plan.design import with_ends
from tasks.recipe import Recipe, coalition_training, model_recipe, reference_training, samples_recipe, training_spec
from tasks.study import Study
from tasks.validate.worlds import (
    Asked,
    check_provable,
    chosen_coalitions,
    estimation_digest,
    other_ways,
    pruned_truth,
    recipe_digest,
    repeated_truth,
    truth,
)
from tasks.validation_spec import ValidationSpec

STUDY = Study()


def test_the_truth_trains_a_coalition_as_the_reference_was_trained_on_everybody() -> None:
    retrained = truth(STUDY)
    reference = {**training_spec(reference_training(STUDY.model)), "seed": None}
    assert {**training_spec(coalition_training(retrained, 5)), "seed": None} == reference
    assert retrained.pruning.ratio == 0 and retrained.coalition.mode == "retrain"
    assert pruned_truth(STUDY).pruning == STUDY.pruning
    assert retrained.sampling == STUDY.sampling and retrained.properties == STUDY.properties


def test_coalitions_are_of_half_the_contributors_first_then_of_other_sizes_and_the_same_every_time() -> None:
    chosen = chosen_coalitions(STUDY, 12, ValidationSpec(one_size=10, across_sizes=6))
    assert (chosen.one_size.sum(axis=1) == 6).all() and chosen.of_one_size == 10 and len(chosen.rows) == 16
    assert len({row.tobytes() for row in chosen.rows}) == 16 and not chosen.complete
    assert chosen.rows.any(axis=1).all() and not chosen.rows.all(axis=1).any()
    again = chosen_coalitions(STUDY, 12, ValidationSpec(one_size=10, across_sizes=6))
    assert np.array_equal(chosen.rows, again.rows)


def test_few_contributors_have_all_their_coalitions_retrained_so_their_credits_are_exact() -> None:
    chosen = chosen_coalitions(STUDY, 5, ValidationSpec(one_size=24, across_sizes=8))
    assert chosen.complete and len({row.tobytes() for row in with_ends(chosen.rows)}) == 32
    assert (chosen.one_size.sum(axis=1) == chosen.size).all() and chosen.of_one_size == 10


def test_what_does_not_exist_is_said() -> None:
    chosen = chosen_coalitions(STUDY, 6, ValidationSpec(one_size=30, across_sizes=8))
    assert chosen.of_one_size == 20 and "30" in chosen.shortfalls[0] and "20" in chosen.shortfalls[0]


def test_the_truth_once_more_differs_in_its_seeds_and_in_nothing_else() -> None:
    asked, study = ValidationSpec(repeated=5), Study.model_validate({"coalition": {"seed": 3, "audit_seeds": [4, 5]}})
    chosen = chosen_coalitions(study, 10, asked)
    again = repeated_truth(study, chosen, asked)
    assert again is not None and np.array_equal(again.rows, chosen.one_size[:5])
    assert not again.ends, "nobody's and everybody's are no coalitions of the one size"
    assert Asked(truth(study), chosen.rows).ends
    first, second = truth(study), Study.model_validate(again.study.model_dump(mode="json"))  # as a worker is given it
    assert (second.coalition.seed, second.sampling.seed) == (4, first.sampling.seed + 1)
    seeds = {"coalition": {"seed", "audit_seeds", "audit_coalitions"}, "sampling": {"seed"}}
    assert second.model_dump(exclude=seeds) == first.model_dump(exclude=seeds)
    assert recipe_digest(second) == recipe_digest(first)
    pruned = Recipe("model", {"start": "random"})
    one, other = (model_recipe(pruned, ["ab" * 32], each, each.coalition.seed) for each in (first, second))
    assert one.key != other.key
    assert samples_recipe(one, first, 3).spec["seed"] + 1 == samples_recipe(one, second, 4).spec["seed"]
    assert repeated_truth(study, chosen, ValidationSpec(repeated=0)) is None
    like_the_reference = Study.model_validate({"coalition": {"seed": 3}, "model": {"seed": 4}})
    third = repeated_truth(like_the_reference, chosen, asked)
    assert third is not None and third.study.coalition.seed == 5


def test_ways_are_each_there_once_and_never_the_studys_own() -> None:
    study = Study.model_validate({"pruning": {"ratio": 0.3}, "coalition": {"steps": 100}})
    asked = ValidationSpec(step_factors=[0.5, 1.0, 2.0], ratios=[0.0, 0.3, 0.5], pruned=4)
    ways = other_ways(study, chosen_coalitions(study, 10, asked), asked)
    found = [(way.study.coalition.mode, way.steps, way.study.pruning.ratio, len(way.rows)) for way in ways]
    assert found == [
        ("retrain", study.model.train_steps, 0.3, 4),
        ("finetune", 50, 0.3, 32),
        ("finetune", 200, 0.3, 32),
        ("finetune", 100, 0.0, 32),
        ("finetune", 100, 0.5, 32),
    ]


@pytest.mark.parametrize(
    ("section", "fields", "same"),
    [
        ("model", {"seed": 7}, True),
        ("coalition", {"seed": 7, "audit_seeds": [1]}, True),
        ("sampling", {"seed": 7, "batch_size": 8}, True),
        ("data", {"only": ["a", "b"]}, True),
        ("estimation", {"budget": 99}, True),
        ("model", {"lora_rank": 2}, True),
        ("coalition", {"steps": 99}, False),
        ("pruning", {"ratio": 0.4}, False),
        ("sampling", {"images": 99}, False),
        ("properties", {"clusters": 7}, False),
        ("model", {"channels": [16, 32]}, False),
    ],
)
def test_a_validation_is_of_a_recipe_whatever_the_images_and_the_seeds(
    section: str, fields: dict[str, object], same: bool
) -> None:
    other = Study.model_validate({section: fields})
    assert (recipe_digest(other) == recipe_digest(STUDY)) == same


def test_of_other_sizes_are_none_of_the_one_size() -> None:
    for n in (7, 8, 11, 13):
        chosen = chosen_coalitions(STUDY, n, ValidationSpec(one_size=6, across_sizes=8))
        assert (chosen.rows[chosen.of_one_size :].sum(axis=1) != chosen.size).all() and len(chosen.rows) == 14
    assert len(chosen_coalitions(STUDY, 9, ValidationSpec(across_sizes=0)).rows) == 24


def test_the_truth_is_never_held_against_itself() -> None:
    unpruned = Study.model_validate({"pruning": {"ratio": 0}})
    ways = other_ways(unpruned, chosen_coalitions(unpruned, 10, ValidationSpec()), ValidationSpec())
    assert all(way.study.coalition.mode == "finetune" for way in ways)
    check_provable(unpruned)
    with pytest.raises(ValueError, match="nothing more faithful"):
        check_provable(truth(STUDY))


def test_judgements_of_credits_are_of_these_people_and_this_estimation() -> None:
    assert estimation_digest(STUDY, ["a", "b"]) == estimation_digest(STUDY, ["b", "a"])
    assert estimation_digest(STUDY, ["a", "c"]) != estimation_digest(STUDY, ["a", "b"])
    other = Study.model_validate({"estimation": {"budget": 99}})
    assert estimation_digest(other, ["a", "b"]) != estimation_digest(STUDY, ["a", "b"])
