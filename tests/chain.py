"""All keys of the chain of a study by name, and partitions by hand: for tests of what changes which key."""

from __future__ import annotations

from typing import Any

import numpy as np

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

# Ways of working.
RETRAIN = {"coalition": {"mode": "retrain"}}
UNPRUNED = {"pruning": {"ratio": 0}}
UNRECOVERED = {"pruning": {"recovery_steps": 0}}
TAYLOR = {"pruning": {"importance": "taylor", "recovery_steps": 0}}
AVERAGE = {"model": {"ema_decay": 0.9999}}
LINEAR = {"model": {"beta_schedule": "linear"}}
ATTENDING = {"model": {"attention_levels": [1]}}
