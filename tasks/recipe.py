"""Recipes: what is really done, resolved from the study, and the digests it is known by.

    data      distinct images, their weights and the resolution they are brought to
    reference data, network, noise schedule, training        (or the digest of the pretrained weights)
    pruned    reference, pruning, recovery training
    model     pruned, fingerprints of the members, fine-tuning, seed          ┐
    samples   model, sampler, steps, count, seed                              ├ the chain of a coalition's evaluation
    score     samples or model, property, digest of its reference statistics  ┘

Not in any of them: the study's name, the list of contributors, the host, the library versions, where the work ran. A field
that the chosen way of working does not use stays out, so that changing it makes nothing anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.digest import digest_of
from tasks.families import family_of, identity_of
from tasks.model.train import TrainRecipe
from tasks.partition import Partition
from tasks.study import CoalitionSpec, ModelSpec, PruningSpec, SamplingSpec, Study

# Versions of what the code does with a recipe; raised when the same recipe begins to give other numbers.
PREPROCESSING = 1  # decoded, scaled down by partition's filter, RGB over white
TRAINING = 1  # tasks.model.train, with its random numbers
SAMPLING = 1  # tasks.model.sample
# What was not there from the beginning enters a digest only where it is not as it always was.
_USUAL = {"decay": "cosine", "weight_decay": 0.0, "precision": "fp32"}
VERSIONS = {"preprocessing": PREPROCESSING, "training": TRAINING, "sampling": SAMPLING}


@dataclass(frozen=True)
class Recipe:
    """A resolved specification and the digest that names what it makes."""

    kind: str
    spec: dict[str, Any]

    @property
    def key(self) -> str:
        """sha256 in hexadecimal."""
        return digest_of(self.kind, self.spec)


def data_recipe(partition: Partition, resolution: int) -> Recipe:
    """Everybody's training images with their total weights, and the held-out ones."""
    weights = partition.ownership.sum(axis=1)
    return Recipe(
        "data",
        {
            "preprocessing": PREPROCESSING,
            "resolution": resolution,
            "train": [[d, round(float(w), 9)] for d, w in zip(partition.train_digests, weights, strict=True)],
            "heldout": list(partition.heldout_digests),
        },
    )


def reference_recipe(model: ModelSpec, data: Recipe, given_sha256: Mapping[str, str] | None) -> Recipe:
    """The reference: a network trained on `data`, or given. `given_sha256`: `Family.given` of the study's family."""
    family = family_of(model)
    start = {**family.start(given_sha256), **identity_of(family)}
    if given_sha256 is not None and not family.trains:
        # Its images are not in it, so the form they are brought to for everything after it stands here.
        form = {"preprocessing": data.spec["preprocessing"], "resolution": data.spec["resolution"]}
        return Recipe("reference", {**start, **form})
    training = training_spec(reference_training(model))
    return Recipe("reference", {**start, "images": _training_images(data), "training": training})


def pruned_recipe(pruning: PruningSpec, model: ModelSpec, reference: Recipe, data: Recipe) -> Recipe:
    """The pruned and recovered network. Ratio 0 without recovery is the reference itself, in the same form."""
    spec: dict[str, Any] = {"reference": reference.key, "ratio": pruning.ratio}
    if pruning.ratio > 0:
        spec["importance"] = pruning.importance
        images = _training_images(data)
        if pruning.importance == "taylor":  # ranks channels by a loss on everybody's images
            spec |= {"images": images, "ranked_on": {"batch_size": model.batch_size, "seed": model.seed}}
        if pruning.recovery_steps > 0:
            spec["images"] = images
            spec["recovery"] = training_spec(recovery_training(pruning, model))
    return Recipe("pruned", spec)


def model_recipe(pruned: Recipe, fingerprints: Iterable[str], study: Study, seed: int) -> Recipe:
    """One coalition's model. The empty coalition is the study's baseline, not a model trained for zero steps: the pruned
    model already knows everybody's images."""
    members = sorted(fingerprints)
    if members:
        training = training_spec(coalition_training(study, seed))
        how: dict[str, Any] = {"start": "pruned" if study.coalition.mode == "finetune" else "random", **training}
    elif family_of(study.model).baseline(study) == "base":
        how = {"start": "base"}
    else:
        how = {"start": "random", "seed": seed}
    return Recipe("model", {"pruned": pruned.key, "members": members, "how": how})


def samples_recipe(model: Recipe, study: Study, seed: int) -> Recipe:
    """Images drawn from one model. `seed` is the coalition's: a repeat under another seed draws other noise too. The
    batch size is left out: each image has its own noise."""
    sampling: SamplingSpec = study.sampling
    spec: dict[str, Any] = {
        "version": SAMPLING,
        "sampler": sampling.sampler,
        "steps": sampling.steps,
        "images": sampling.images,
        "seed": sampling.seed + seed - study.coalition.seed,
    }
    if family_of(study.model).takes_prompts:
        spec |= {"prompts": list(sampling.prompts), "guidance": sampling.guidance}
    if study.model.precision != "fp32":
        spec["precision"] = study.model.precision
    return Recipe("samples", {"model": model.key, **spec})


def score_recipe(subject: Recipe, identity: Mapping[str, Any], statistics_sha256: str | None) -> Recipe:
    """One property of one model or sample set."""
    return Recipe("score", {"subject": subject.key, "property": dict(identity), "statistics": statistics_sha256})


def _training_images(data: Recipe) -> str:
    """Digest of what is trained on. Held-out images enter the scores that use them, not the models."""
    return digest_of("training-images", [data.spec["preprocessing"], data.spec["resolution"], data.spec["train"]])


def reference_training(model: ModelSpec) -> TrainRecipe:
    """How the reference is trained."""
    return _training(model, model.train_steps, model.batch_size, model.learning_rate, model.seed)


def recovery_training(pruning: PruningSpec, model: ModelSpec) -> TrainRecipe:
    """How the pruned network is recovered, on everybody's data."""
    return _training(model, pruning.recovery_steps, model.batch_size, pruning.learning_rate, model.seed)


def coalition_training(study: Study, seed: int) -> TrainRecipe:
    """How a coalition's model is trained: the same steps and batch for every coalition. Training from random weights
    takes the reference's learning rate, fine-tuning its own."""
    coalition: CoalitionSpec = study.coalition
    if coalition.mode == "retrain":
        steps, rate = coalition.retrain_steps, study.model.learning_rate
    else:
        steps, rate = coalition.steps, coalition.learning_rate
    return _training(study.model, steps, coalition.batch_size, rate, seed)


def _training(model: ModelSpec, steps: int, batch_size: int, learning_rate: float, seed: int) -> TrainRecipe:
    return TrainRecipe(
        steps,
        batch_size,
        learning_rate,
        model.ema_decay,
        seed,
        decay=model.learning_rate_decay,
        weight_decay=model.weight_decay,
        precision=model.precision,
    )


def training_spec(recipe: TrainRecipe) -> dict[str, Any]:
    """A training as JSON, with the decay of the moving average that is really used."""
    return {
        "version": TRAINING,
        "steps": recipe.steps,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "ema_decay": round(recipe.bounded_ema_decay, 12),  # the last bits of a power differ between libraries
        "warmup": recipe.warmup,
        "seed": recipe.seed,
        **{name: getattr(recipe, name) for name, usual in _USUAL.items() if getattr(recipe, name) != usual},
    }
