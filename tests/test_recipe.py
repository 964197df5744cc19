"""Which field of a study changes which key: every one that decides a result does, nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from tasks.study import Study
from tests.chain import (
    ATTENDING,
    AVERAGE,
    EVERYTHING,
    LINEAR,
    MODEL,
    NOTHING,
    PRUNED,
    REFERENCE,
    RETRAIN,
    SAMPLES,
    UNPRUNED,
    UNRECOVERED,
    changed,
    keys,
    study,
    with_field,
)

# Every field of a study, another value, and the keys that it changes where a reference is trained, pruned magnitude-wise,
# recovered, and coalitions are fine-tuned.
TABLE: dict[str, tuple[Any, set[str]]] = {
    "name": ("other", NOTHING),
    # What these do to the images and their owners shows in the partition; see the tests of partitions below.
    "data.url": ("s3://elsewhere", NOTHING),
    "data.contributor_column": ("owner", NOTHING),
    "data.date_column": ("when", NOTHING),
    "data.prompt_column": ("caption", NOTHING),
    "data.only": (["ann", "bob"], NOTHING),
    "data.minimum_images": (3, NOTHING),
    "data.small_contributors": ("drop", NOTHING),
    "data.heldout_fraction": (0.3, NOTHING),
    "data.heldout_salt": ("x", NOTHING),
    "data.maximum_megapixels": (1.0, NOTHING),
    "model.pretrained": ("somewhere", NOTHING),  # the place is nothing, its files' digests are all
    "model.pretrained_is": ("base", NOTHING),
    "model.family": ("sd-lora", REFERENCE | {"samples"}),
    "model.autoencoder": ("somewhere", NOTHING),
    "model.lora_rank": (4, NOTHING),
    "model.lora_alpha": (4.0, NOTHING),
    "model.lora_targets": (["to_q"], NOTHING),
    "model.learning_rate_decay": ("constant", REFERENCE),
    "model.weight_decay": (0.01, REFERENCE),
    "model.precision": ("bf16", REFERENCE),
    "model.options": ({"own": 1}, NOTHING),
    "model.resolution": (32, EVERYTHING),
    "model.channels": ([16, 32], REFERENCE),
    "model.layers_per_block": (2, REFERENCE),
    "model.attention_levels": ([1], REFERENCE),
    "model.attention_head_dim": (4, NOTHING),  # where there is no attention
    "model.norm_groups": (4, REFERENCE),
    "model.noise_steps": (500, REFERENCE),
    "model.beta_schedule": ("linear", REFERENCE),
    "model.beta_start": (1e-3, NOTHING),  # this schedule has its own
    "model.beta_end": (0.012, NOTHING),
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
    "sampling.prompts": (["a cat"], NOTHING),
    "sampling.guidance": (2.0, NOTHING),
    "properties.names": (["heldout_loss"], NOTHING),
    "properties.feature_size": (128, {"frechet_lite", "cluster_entropy"}),
    "properties.frechet_components": (16, {"frechet_lite"}),
    "properties.clusters": (13, {"cluster_entropy"}),
    "properties.heldout_timesteps": (11, {"heldout_loss"}),
    "properties.inception_weights": ("inception.pt", NOTHING),
    "properties.vision_model": (None, NOTHING),  # see tests/properties/test_vision.py, which has such a model
    "properties.aesthetic_model": ("somewhere", NOTHING),
    "properties.aesthetic_head": ("head.safetensors", NOTHING),
    "estimation.budget": (99, NOTHING),
    "estimation.design": ("kernelshap", NOTHING),
    "estimation.estimator": ("kernelshap_sizes", NOTHING),
    "estimation.reuse": (False, NOTHING),
    "estimation.stop_width": (0.1, NOTHING),
    "estimation.stop_relative_width": (0.1, NOTHING),
    "estimation.stop_top": (3, NOTHING),
    "estimation.stop_level": (0.95, NOTHING),
    "estimation.batch": (8, NOTHING),
    "estimation.hard_budget": (True, NOTHING),
    "estimation.seed": (1, NOTHING),
    "epoch.drift": (0.5, NOTHING),
    "epoch.maximum_days": (30.0, NOTHING),
    "epoch.increment": (0.5, NOTHING),
    "audit.contributors": (["ann"], NOTHING),
    "audit.pairs": (7, NOTHING),
    "audit.seed": (1, NOTHING),
    "execution.mode": ("inline", NOTHING),
    "execution.workers": (7, NOTHING),
    "execution.device": ("cuda", NOTHING),
    "execution.retries": (3, NOTHING),
    "execution.failure_tolerance": (0.5, NOTHING),
    "execution.keep_weights_below_mb": (0.0, NOTHING),
    "execution.gradient_checkpointing": (True, NOTHING),
    "execution.channels_last": (True, NOTHING),
    "execution.compile": (True, NOTHING),
    "execution.checkpoint_seconds": (99.0, NOTHING),
    "execution.queue": ("urgent", NOTHING),
    "execution.deployment": ("other", NOTHING),
    "execution.shard_minutes": (5.0, NOTHING),
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
WAYS: list[tuple[dict[str, Any], str, Any, set[str]]] = [
    (RETRAIN, "coalition.steps", 149, NOTHING),
    (RETRAIN, "coalition.learning_rate", 2e-3, NOTHING),
    (RETRAIN, "coalition.retrain_steps", 999, MODEL),
    (UNPRUNED, "pruning.importance", "taylor", NOTHING),
    (UNPRUNED, "pruning.recovery_steps", 299, NOTHING),
    (UNPRUNED, "pruning.learning_rate", 2e-3, NOTHING),
    (UNRECOVERED, "pruning.learning_rate", 2e-3, NOTHING),
    (UNRECOVERED, "pruning.importance", "taylor", PRUNED),
    (ATTENDING, "model.attention_head_dim", 4, REFERENCE),
    (ATTENDING, "model.attention_head_dim", None, REFERENCE),
    (LINEAR, "model.beta_start", 1e-3, REFERENCE),
    (LINEAR, "model.beta_end", 0.012, REFERENCE),
    (AVERAGE, "model.ema_decay", 0.99999, NOTHING),  # both slower than the bound, which is what is used
]


@pytest.mark.parametrize(("way", "path", "value", "expected"), WAYS)
def test_a_field_that_a_way_of_working_does_not_use_changes_nothing_there(
    way: dict[str, Any], path: str, value: Any, expected: set[str]
) -> None:
    before = study(**way)
    assert changed(keys(before), keys(with_field(before, path, value))) == expected
