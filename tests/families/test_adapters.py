"""LoRA adapters: pruning of single ranks, starts, and that a base is never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.families.lora import adapters, down_up, kept_ranks, prune_adapter, ranks_of
from tasks.families.types import FamilyError
from tasks.model.model import Model
from tests.families.building import family_and_model, predicted, same_bits, stir, study_of

RANK = 4
NOTHING = HealthCheck.function_scoped_fixture, HealthCheck.too_slow


def zero_loss() -> None:
    """Nothing to back-propagate: ranks are pruned by magnitude."""


def numbers(model: Model) -> int:
    return sum(p.numel() for p in model.trainable().values())


def norms(model: Model) -> dict[tuple[str, int], float]:
    """What each rank adds, as the Frobenius norm of its outer product, computed as such."""
    found = {}
    for name, layer in adapters(model.network).items():
        down, up = down_up(layer)
        for j in range(len(down)):
            found[name, j] = float(torch.outer(up[:, j].detach(), down[j].detach()).norm())
    return found


@pytest.fixture(scope="module")
def model(bases: Path) -> Model:
    """One that tests stir and do not prune."""
    return family_and_model("sd-lora", bases)[1]


@given(ratio=st.floats(0, 0.99), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None, suppress_health_check=NOTHING)
def test_the_lowest_pairs_of_the_whole_network_go_and_about_as_many_as_asked(
    ratio: float, seed: int, model: Model
) -> None:
    stir(model, seed)
    kept = kept_ranks(model.network, ratio)
    size = norms(model)
    stay = {(name, int(j)) for name, rows in kept.items() for j in rows}
    gone = set(size) - stay
    if gone:
        assert max(size[pair] for pair in gone) <= min(size[pair] for pair in stay) * (1 + 1e-5)
    widths = {name: down[0].numel() + len(up) for name, (down, up) in layers(model).items()}
    total = sum(widths[name] for name, _ in size)
    removed = sum(widths[name] for name, _ in gone)
    assert ratio * total - max(widths.values()) < removed <= ratio * total
    assert all((rows.diff() > 0).all() for rows in kept.values())


def layers(model: Model) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {name: down_up(layer) for name, layer in adapters(model.network).items()}


@pytest.mark.parametrize("alpha", [None, 1.0, 12.0])
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_removing_pairs_that_add_nothing_changes_no_output(alpha: float | None, ratio: float, bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases, model={"lora_alpha": alpha}, pruning={"ratio": ratio})
    with torch.no_grad():
        for number, (down, up) in enumerate(layers(model).values()):  # half of the pairs, by one matrix or the other
            (down if number % 2 else up.T)[:: 2] = 0  # fmt: skip
    before = predicted(model)
    family.prune(model, study_of("sd-lora", bases, pruning={"ratio": ratio}).pruning, zero_loss)
    assert numbers(model) < RANK * sum(down[0].numel() + len(up) for down, up in layers(model).values())
    assert torch.allclose(predicted(model), before, atol=1e-6)
    assert min(norms(model).values()) > 0 or ratio < 0.5


@pytest.mark.parametrize("alpha", [None, 2.0, 12.0])
def test_what_stays_is_what_was_there_and_adds_as_much(alpha: float | None, bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases, model={"lora_alpha": alpha})
    kept = kept_ranks(model.network, 0.5)
    before = {name: (down.detach().clone(), up.detach().clone()) for name, (down, up) in layers(model).items()}
    family.prune(model, study_of("sd-lora", bases).pruning, zero_loss)
    scale = 1.0 if alpha is None else alpha / RANK
    assert ranks_of(model.network) == {name: len(rows) for name, rows in kept.items() if len(rows)}
    for name, layer in adapters(model.network).items():
        down, up = down_up(layer)
        assert torch.equal(down, before[name][0][kept[name]]) and torch.equal(up, before[name][1][:, kept[name]])
        assert layer.scaling["default"] == pytest.approx(scale)


def test_a_layer_that_loses_all_its_ranks_loses_its_adapter(bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases)
    name, layer = next(iter(adapters(model.network).items()))
    with torch.no_grad():
        down_up(layer)[1].mul_(1e-6)
    others = len(adapters(model.network)) - 1
    prune_adapter(model.network, 0.5, 1.0)
    assert name not in adapters(model.network) and len(adapters(model.network)) <= others
    assert not any(name in key for key in model.weights())
    made = family.maker(family.describe(model), bases / "sd")()
    made.load_weights(model.weights())
    assert torch.equal(predicted(made), predicted(model))


def test_pruned_adapters_can_be_pruned_again_and_trained(bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases)
    sizes = [numbers(model)]
    for _ in range(2):
        family.prune(model, study_of("sd-lora", bases).pruning, zero_loss)
        sizes.append(numbers(model))
    assert sizes[1] <= 0.5 * sizes[0] and sizes[2] <= 0.5 * sizes[1]
    predicted_before = predicted(model)
    model.reset(0)
    assert not torch.equal(predicted(model), predicted_before)
    assert all(p.requires_grad for p in model.trainable().values()) and numbers(model) == sizes[2]


def test_pruning_depends_on_no_random_state(bases: Path) -> None:
    made = []
    for seed in (1, 2):
        family, model = family_and_model("sd-lora", bases)
        torch.manual_seed(seed)
        family.prune(model, study_of("sd-lora", bases).pruning, zero_loss)
        made.append(model.weights())
    assert same_bits(*made)


def test_a_ratio_that_leaves_nothing_is_refused_with_what_to_set(bases: Path) -> None:
    _, model = family_and_model("sd-lora", bases, model={"lora_rank": 1, "lora_targets": ["attn2.to_q"]})
    with torch.no_grad():
        for down, _ in layers(model).values():
            down.zero_()  # all alike
    with pytest.raises(ValueError, match=r"pruning\.ratio leaves no rank.*lower it"):
        prune_adapter(model.network, 1.0, 1.0)


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_random_adapters_are_the_base_itself_and_depend_on_the_seed_alone(seed: int, bases: Path) -> None:
    """v(empty) of a LoRA: the base, whether asked for as `untrained` or as `base`."""
    _, model = family_and_model("sd-lora", bases)
    plain = model.pipeline.unet  # type: ignore[attr-defined]
    plain.disable_adapters()
    expected = predicted(model)
    plain.enable_adapters()
    assert not torch.equal(predicted(model), expected)
    torch.manual_seed(seed + 1)
    state = torch.get_rng_state()
    model.reset(seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(predicted(model), expected)
    first = model.weights()
    stir(model, 5)
    model.reset(seed)
    assert same_bits(first, model.weights())
    model.reset(seed + 1)
    assert not same_bits(first, model.weights())
    assert not any(bool((p == 0).all()) for name, p in model.trainable().items() if "lora_A" in name)


def test_to_base_is_the_base_too(bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases)
    model.reset(3)
    expected = predicted(model)
    stir(model)
    family.to_base(model)
    assert torch.equal(predicted(model), expected)
    assert family.baseline(study_of("sd-lora", bases)) == "base"


@pytest.mark.parametrize("targets", [["to_q"], ["to_q", "to_k", "to_v", "to_out.0"], ["proj_in"], ["conv1"]])
def test_adapters_go_on_the_layers_that_are_named(targets: list[str], bases: Path) -> None:
    family, model = family_and_model("sd-lora", bases, model={"lora_targets": targets})
    named = list(adapters(model.network))
    assert named and all(any(name.endswith(f".{target}") for target in targets) for name in named)
    assert set(ranks_of(model.network).values()) == {RANK}
    assert family.parameters() == numbers(model)


def test_targets_that_the_base_does_not_have_are_refused(bases: Path) -> None:
    with pytest.raises(FamilyError, match=r"lora_targets \['nowhere'\]"):
        family_and_model("sd-lora", bases, model={"lora_targets": ["nowhere"]})
