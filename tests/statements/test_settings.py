"""A field that a study's family of models does not use is no other setting, and every field that it uses is one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.families.ddpm import DDPM
from tasks.families.types import Files
from tasks.statements.settings import fields_that_decide
from tasks.study import Study
from tests.families.building import save_bases, study_of


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    save_bases(folder)
    return folder


def decides(study: Study, were: Mapping[str, Any]) -> set[str]:
    """As `fields_that_decide`, of fields called section.name."""
    fields = {(name.split(".")[0], name.split(".")[1]): value for name, value in were.items()}
    return {".".join(field) for field in fields_that_decide(study, fields)}


NETWORK = {"model.channels": [16, 16], "model.layers_per_block": 2, "model.noise_steps": 200}
ADAPTERS = {"model.lora_rank": 2, "model.lora_alpha": 3.0, "model.lora_targets": ["to_q"]}
PROMPTS = {"sampling.prompts": ["a red circle"], "sampling.guidance": 2.0}
ANY = {
    "model.train_steps": 7,
    "model.learning_rate": 0.5,
    "model.resolution": 32,
    "pruning.ratio": 0.25,
    "pruning.recovery_steps": 9,
    "coalition.steps": 9,
    "sampling.images": 9,
    "sampling.sampler": "dpmsolver++",
}
NOBODYS = {"model.options": {"of": "another family"}, "sampling.batch_size": 3, "coalition.retrain_steps": 9}


@pytest.mark.parametrize(
    ("family", "used", "unused"),
    [
        ("ddpm", NETWORK, {**ADAPTERS, **PROMPTS}),
        ("ldm", NETWORK, {**ADAPTERS, **PROMPTS}),
        ("sd-lora", {**ADAPTERS, **PROMPTS}, {**NETWORK, "coalition.baseline": "base", "model.pretrained_is": "base"}),
    ],
)
def test_what_a_family_uses_decides_and_what_it_does_not_use_does_not(
    family: str, used: dict[str, Any], unused: dict[str, Any], bases: Path
) -> None:
    study = study_of(family, bases)
    assert decides(study, {**ANY, **used, **NOBODYS, **unused}) == set(ANY) | set(used)


def test_an_autoencoder_is_another_one_by_its_files_not_by_its_place(bases: Path, tmp_path: Path) -> None:
    shutil.copytree(bases / "kl", tmp_path / "moved")
    study = study_of("ldm", bases)
    assert decides(study, {"model.autoencoder": str(tmp_path / "moved")}) == set()
    assert decides(study, {"model.autoencoder": str(bases / "vq")}) == {"model.autoencoder"}


def test_nothing_is_fetched_and_what_cannot_be_found_out_counts(bases: Path, tmp_path: Path) -> None:
    study = study_of("ldm", bases)
    assert decides(study, {"model.autoencoder": "somebody/vae", "model.lora_rank": 3}) == {"model.autoencoder"}
    gone = study_of("ldm", tmp_path)
    assert decides(gone, {"model.lora_rank": 3, "sampling.batch_size": 9}) == {
        "model.lora_rank",
        "sampling.batch_size",
    }
    assert decides(study, {"model.channels": [5], "model.family": "nowhere:Model"}) == {
        "model.channels",
        "model.family",
    }


def test_how_to_recover_decides_only_what_is_pruned() -> None:
    whole = Study.model_validate({"pruning": {"ratio": 0}})
    assert decides(whole, {"pruning.recovery_steps": 7, "pruning.importance": "taylor"}) == set()
    assert decides(Study(), {"pruning.recovery_steps": 7, "pruning.importance": "taylor"}) == {
        "pruning.recovery_steps",
        "pruning.importance",
    }


class Both(DDPM):
    """A family of one's own that looks at two fields together."""

    def start(self, given: Files | None) -> dict[str, Any]:
        return {**super().start(given), "small": self.spec.lora_rank < 4 and self.spec.layers_per_block < 2}

    def network(self) -> dict[str, Any]:
        return {}


def test_fields_that_only_together_make_a_difference_count() -> None:
    model = {"family": f"{__name__}:Both", "lora_rank": 4, "layers_per_block": 2}
    study = Study.model_validate({"model": model})
    assert decides(study, {"model.lora_rank": 3}) == decides(study, {"model.layers_per_block": 1}) == set()
    together = {"model.lora_rank": 3, "model.layers_per_block": 1}
    assert decides(study, together) == set(together)


def test_sections_that_enter_no_key_are_not_judged_here() -> None:
    assert decides(Study(), {"properties.clusters": 3, "data.minimum_images": 4}) == {
        "properties.clusters",
        "data.minimum_images",
    }
