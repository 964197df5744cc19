"""Which field of a study changes which key in the families on a base: those that they use, and none of another family's."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.families import family_of
from tasks.study import ModelSpec, Study
from tests.chain import EVERYTHING, MODEL, NOTHING, REFERENCE, SAMPLES, changed, keys, with_field
from tests.families.building import autoencoder, edit, pipeline, study_of
from tests.test_recipe import TABLE

ADAPTED = {"model.channels", "model.layers_per_block", "model.attention_levels", "model.norm_groups"}
ADAPTED |= {"model.attention_head_dim", "model.beta_start", "model.beta_end"}
SCHEDULE = {"model.noise_steps", "model.beta_schedule"}
LORA = {"model.lora_rank", "model.lora_alpha", "model.lora_targets"}
PROMPTED = {"sampling.prompts", "sampling.guidance"}
# Where a family's fields do what the table of the DDPM does not say: {field: (another value, keys)}.
DIFFERENT: dict[str, dict[str, tuple[Any, set[str]]]] = {
    "ldm": {
        "model.family": (None, NOTHING),
        "model.pretrained": (None, NOTHING),
        "model.autoencoder": (None, NOTHING),  # see the tests below
        "model.resolution": (32, EVERYTHING),
    },
    "sd-lora": {
        "model.family": (None, NOTHING),
        "model.pretrained": (None, NOTHING),
        "model.resolution": (32, EVERYTHING),
        "model.pretrained_is": ("base", NOTHING),
        **{field: (TABLE[field][0], NOTHING) for field in ADAPTED | SCHEDULE},
        "model.channels": ([8, 16], NOTHING),
        "model.lora_rank": (5, REFERENCE),
        "model.lora_alpha": (2.0, REFERENCE),
        "model.lora_targets": (["to_q"], REFERENCE),
        "pruning.importance": (None, NOTHING),  # only magnitude is there
        "coalition.baseline": ("base", NOTHING),  # it is the base anyway
        "coalition.seed": (7, MODEL),  # so the empty coalition has no seed
        "sampling.prompts": (["a cat"], SAMPLES),
        "sampling.guidance": (2.0, SAMPLES),
    },
}
CASES = [
    (family, field, *different.get(field, usual))
    for family, different in DIFFERENT.items()
    for field, usual in TABLE.items()
]


def study(family: str, bases: Path) -> Study:
    """As in the table of the DDPM: defaults, but for the base and a network that its latents allow."""
    model: dict[str, Any] = {"family": family, "autoencoder": str(bases / "kl")}
    if family == "sd-lora":
        model = {"family": family, "pretrained": str(bases / "sd")}
    return Study.model_validate({"model": model})


def keys_of(of: Study) -> dict[str, str]:
    return keys(of, given=dict(family_of(of.model).given() or {}))


@pytest.mark.parametrize(("family", "path", "value", "expected"), [case for case in CASES if case[2] is not None])
def test_a_field_changes_the_keys_it_decides_and_no_other(
    family: str, path: str, value: Any, expected: set[str], bases: Path
) -> None:
    before = study(family, bases)
    other = with_field(before, path, value)
    assert other != before
    assert changed(keys_of(before), keys_of(other)) == expected


@pytest.mark.parametrize("family", ["ldm", "sd-lora"])
def test_the_place_of_a_base_is_nothing_and_its_content_everything(family: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        autoencoder().save_pretrained(tmp_path / name / "kl")
        pipeline().save_pretrained(tmp_path / name / "sd")
    one, other = study(family, tmp_path / "one"), study(family, tmp_path / "other")
    assert keys_of(one) == keys_of(other)
    edit(tmp_path / "other" / ("kl" if family == "ldm" else "sd/vae") / "config.json", scaling_factor=0.3)
    assert changed(keys_of(one), keys_of(other)) == REFERENCE


# Fields that each family does not use, and other values of theirs.
FOREIGN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "ldm": {
        "model.lora_rank": st.integers(1, 64),
        "model.lora_alpha": st.none() | st.floats(0.5, 64),
        "model.lora_targets": st.lists(st.sampled_from(["to_q", "to_k", "conv1"]), min_size=1, max_size=3),
        "model.options": st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
        "sampling.prompts": st.lists(st.text(max_size=9), max_size=3),
        "sampling.guidance": st.floats(1, 20),
    },
    "sd-lora": {
        "model.autoencoder": st.none() | st.text(max_size=9),
        "model.pretrained_is": st.sampled_from(["base", "reference"]),
        "model.channels": st.lists(st.integers(1, 99), min_size=1, max_size=4),
        "model.layers_per_block": st.integers(1, 4),
        "model.attention_levels": st.lists(st.integers(0, 3), max_size=3),
        "model.attention_head_dim": st.none() | st.integers(1, 64),
        "model.beta_start": st.floats(1e-5, 0.9),
        "model.norm_groups": st.integers(1, 32),
        "model.noise_steps": st.integers(10, 5000),
        "model.beta_schedule": st.sampled_from(["linear", "scaled_linear", "squaredcos_cap_v2"]),
        "model.options": st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
        "coalition.baseline": st.sampled_from(["untrained", "base"]),
    },
}
FOREIGN["ddpm"] = {**FOREIGN["ldm"], "model.autoencoder": st.none() | st.text(max_size=9)}


@pytest.mark.parametrize("family", ["ddpm", "ldm", "sd-lora"])
@given(drawn=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fields_of_other_families_enter_no_digest(family: str, drawn: st.DataObject, bases: Path) -> None:
    before = study(family, bases) if family != "ddpm" else Study()
    after = before
    for path, values in FOREIGN[family].items():
        after = with_field(after, path, drawn.draw(values, label=path))
    assert keys_of(before) == keys_of(after)


@given(order=st.permutations(["to_q", "to_k", "to_v"]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_lora_targets_and_alpha_at_its_default_change_nothing(order: list[str], bases: Path) -> None:
    plain = with_field(study("sd-lora", bases), "model.lora_targets", ["to_q", "to_k", "to_v"])
    named = with_field(with_field(plain, "model.lora_targets", [*order, order[0]]), "model.lora_alpha", 8.0)
    assert keys_of(plain) == keys_of(named)


def test_an_earlier_familys_recipe_names_no_family() -> None:
    """The keys of the DDPM are what they were before there were others."""
    start = family_of(ModelSpec()).start(None)
    assert set(start) == {"network", "noise_steps", "beta_schedule"}
    assert family_of(study_of("ddpm", Path()).model).base() is None


OWN = """
from tasks.families.ldm import LDM


class Own(LDM):
    pass
"""


def test_a_family_of_ones_own_that_is_one_of_ours_changed_has_keys_of_its_own_and_others_once_it_is_edited(
    bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = study("ldm", bases)
    own = with_field(ours, "model.family", "own_family_of_a_test:Own")
    monkeypatch.syspath_prepend(tmp_path)
    found = [keys_of(ours)]
    for source in (OWN, OWN.replace("pass", "kept = 1")):
        (tmp_path / "own_family_of_a_test.py").write_text(source)
        sys.modules.pop("own_family_of_a_test", None)  # as another process has it
        importlib.invalidate_caches()
        found.append(keys_of(own))
        (tmp_path / "own_family_of_a_test.py").write_text("edited meanwhile")
        assert keys_of(own) == found[-1], "what counts is what runs"
    for one, other in itertools.combinations(found, 2):
        assert changed(one, other) == REFERENCE


def test_the_options_of_a_family_of_ones_own_are_in_its_keys(bases: Path) -> None:
    one = with_field(study("ldm", bases), "model.family", "tests.families.fourth:Fourth")
    assert changed(keys_of(one), keys_of(with_field(one, "model.options", {"width": 2}))) == REFERENCE
