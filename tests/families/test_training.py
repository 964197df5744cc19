"""Training of latent models and of adapters: the same bits when it goes on, and nothing frozen moves."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.model.model import Model
from tasks.model.sample import sample
from tasks.model.train import TrainingData, TrainRecipe, TrainState, train
from tests.families.building import PROMPTS, encoded, family_and_model, predicted, same_bits

RECIPE = TrainRecipe(steps=6, batch_size=8, learning_rate=2e-3, ema_decay=0.9, seed=5)
FAMILIES = ["ldm", "ldm-vq", "sd-lora"]


def trained(name: str, bases: Path, data: TrainingData | None = None, recipe: TrainRecipe = RECIPE, **arguments):
    family, model = family_and_model(name, bases)
    losses = train(model, encoded(model, family) if data is None else data, recipe, **arguments)
    return model, losses


def data_of(name: str, bases: Path) -> TrainingData:
    family, model = family_and_model(name, bases)
    return encoded(model, family)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_gone_on_from_any_step_ends_with_the_same_bits(name: str, bases: Path) -> None:
    states: list[TrainState] = []
    whole, losses = trained(name, bases, save=states.append, save_every_seconds=-1)
    assert [state.step for state in states] == list(range(1, 6))
    for state in states[::2]:
        torch.manual_seed(state.step)
        resumed, rest = trained(name, bases, resume=state)
        assert same_bits(whole.weights(), resumed.weights()) and rest == losses[state.step :]


def test_the_state_of_adapters_holds_nothing_of_the_base(bases: Path) -> None:
    states: list[TrainState] = []
    trained("sd-lora", bases, save=states.append, save_every_seconds=-1)
    assert all("lora_" in name for name in states[0].tensors)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_frozen_does_not_change_by_a_bit(name: str, bases: Path) -> None:
    family, model = family_and_model(name, bases)
    before, start = frozen(model), model.weights()
    train(model, encoded(model, family), RECIPE)
    assert same_bits(before, frozen(model)) and before
    assert not same_bits(start, model.weights())


def frozen(model: Model) -> dict[str, torch.Tensor]:
    parts = {"network": model.network}
    if hasattr(model, "pipeline"):
        parts |= {"text": model.pipeline.text.network, "autoencoder": model.pipeline.autoencoder.network}
    else:
        parts |= {"autoencoder": model.autoencoder.network}  # type: ignore[attr-defined]
    mine = set(model.trainable())
    return {
        f"{part}/{name}": tensor.detach().clone()
        for part, network in parts.items()
        for name, tensor in network.state_dict().items()
        if not (part == "network" and name in mine)
    }


def test_only_adapters_are_stored_and_trained(bases: Path) -> None:
    _, model = family_and_model("sd-lora", bases)
    assert model.weights().keys() == model.trainable().keys()
    assert all("lora_A" in name or "lora_B" in name for name in model.weights())
    assert sum(t.numel() for t in model.weights().values()) < sum(p.numel() for p in model.network.parameters()) / 2


@pytest.mark.parametrize("name", FAMILIES)
def test_the_order_of_the_images_changes_nothing(name: str, bases: Path) -> None:
    data, order = data_of(name, bases), np.random.default_rng(3).permutation(20)
    prompts = tuple(np.array(data.prompts)[order]) if data.prompts else ()
    shuffled = TrainingData(data.inputs[order], tuple(np.array(data.digests)[order]), data.weights[order], prompts)
    assert same_bits(trained(name, bases, data)[0].weights(), trained(name, bases, shuffled)[0].weights())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_joiner_changes_no_number_of_a_coalition_without_them(name: str, bases: Path) -> None:
    data = data_of(name, bases)
    weights = np.where(np.arange(20) < 10, 1.0, 0.0)
    few = TrainingData(data.inputs[:10], data.digests[:10], weights[:10], data.prompts[:10])
    many = dataclasses.replace(data, weights=weights)
    assert same_bits(trained(name, bases, few)[0].weights(), trained(name, bases, many)[0].weights())


def test_a_prompt_goes_with_its_image(bases: Path) -> None:
    data = data_of("sd-lora", bases)
    whole = trained("sd-lora", bases, data)[0].weights()
    others = dataclasses.replace(data, prompts=(*data.prompts[1:], data.prompts[0]))
    assert not same_bits(whole, trained("sd-lora", bases, others)[0].weights())


def test_what_was_evaluated_before_on_a_shared_network_plays_no_part(bases: Path) -> None:
    """Models of one base share it: a coalition must not inherit anything from the one before."""
    family, model = family_and_model("sd-lora", bases)
    data, start = encoded(model, family), model.weights()
    make = family.maker(family.describe(model), bases / "sd")
    results = []
    for weights in (data.weights, np.where(np.arange(20) < 5, 1.0, 0.0), data.weights):
        made = make()
        made.load_weights(start)
        train(made, dataclasses.replace(data, weights=weights), RECIPE)
        results.append(made.weights())
    assert same_bits(results[0], results[2]) and not same_bits(results[0], results[1])
    assert same_bits(results[0], trained("sd-lora", bases, data)[0].weights())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_falls(name: str, bases: Path) -> None:
    losses = trained(name, bases, recipe=TrainRecipe(60, 8, 1e-2, 0.9, 0))[1]
    assert np.mean(losses[-15:]) < 0.95 * np.mean(losses[:15])


def test_an_images_noise_does_not_depend_on_how_many_are_drawn_at_a_time(bases: Path) -> None:
    _, model = family_and_model("sd-lora", bases)
    arguments: dict[str, Any] = {"sampler": "ddim", "steps": 3, "seed": 1, "prompts": PROMPTS[:2], "guidance": 3.0}
    whole = sample(model, images=5, batch_size=5, **arguments)
    parts = sample(model, images=5, batch_size=2, **arguments)
    assert whole.shape == (5, 16, 16, 3) and np.abs(whole.astype(int) - parts.astype(int)).max() <= 1
    other = sample(model, images=5, batch_size=5, **{**arguments, "prompts": PROMPTS[2:4]})
    assert not np.array_equal(whole, other)


def test_guidance_is_the_formula_and_one_is_none(bases: Path) -> None:
    _, model = family_and_model("sd-lora", bases)
    x, t = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(0)), torch.tensor(40)
    given, without = model.embed(PROMPTS[:2]), model.embed(["", ""])
    assert given is not None and without is not None
    with torch.no_grad():
        told, untold = model.predict(x, t, given), model.predict(x, t, without)
        guided = model.guided(x, t, torch.cat([without, given]), 4.0)
        assert torch.allclose(guided, untold + 4 * (told - untold), atol=1e-5)
        assert torch.equal(model.guided(x, t, given, 1.0), told)
        assert torch.equal(model.predict(x, t), untold)


@pytest.mark.parametrize("name", ["ldm", "ldm-vq"])
def test_an_untrained_latent_model_has_learned_nothing_and_keeps_its_autoencoder(name: str, bases: Path) -> None:
    model, _ = trained(name, bases)
    fresh, before = family_and_model(name, bases)[1], model.encoder
    assert not torch.equal(predicted(model), predicted(fresh))
    model.reset(0)
    fresh.reset(0)
    assert torch.equal(predicted(model), predicted(fresh)) and model.encoder == before
