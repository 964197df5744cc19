"""One gradient however it is made: in parts when memory is too small, in lower precision, with activations made twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.model.gradient import Gradient
from tasks.model.randomness import noise_and_timesteps
from tasks.model.speed import prepare_for_training
from tasks.model.train import TrainRecipe, TrainState, train
from tasks.study import ExecutionSpec
from tests.families.building import encoded, family_and_model, same_bits

FAMILIES = ["ddpm", "ldm", "sd-lora"]
SIZE = 7  # odd: parts of a batch are of unequal size


def gradient_of(name: str, bases: Path, room: int = SIZE, precision: str = "fp32", checkpointing: bool = False):
    """Gradients by name, loss, and the parts that it took, where `room` images fit into the memory."""
    family, model = family_and_model(name, bases)
    model.network.train()
    prepare_for_training(model, ExecutionSpec(gradient_checkpointing=checkpointing))
    data = encoded(model, family)
    clean = model.start(data.inputs[:SIZE])
    noise, timesteps = noise_and_timesteps(0, 0, tuple(clean.shape), model.noise_steps)
    narrow(model, room)
    gradient = Gradient(model, precision)
    loss = gradient.add(clean, noise, timesteps, model.embed(data.prompts[:SIZE]) if data.prompts else None)
    return {n: p.grad.clone() for n, p in model.trainable().items() if p.grad is not None}, loss, gradient.parts


def narrow(model: Any, room: int) -> None:
    """A card whose memory holds the activations of `room` images: the pass is made, then there is no room for it."""
    loss: Callable[..., torch.Tensor] = model.loss

    def limited(clean: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        found = loss(clean, *rest)
        if len(clean) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found

    model.loss = limited


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], relative: float) -> bool:
    assert one.keys() == other.keys() and one
    size = max(float(g.abs().max()) for g in one.values())
    return all(torch.allclose(one[name], other[name], atol=relative * size) for name in one)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("room", "parts"), [(4, 2), (3, 4), (2, 4), (1, 7)])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: str, room: int, parts: int, bases: Path) -> None:
    whole, loss, one = gradient_of(name, bases)
    split, again, took = gradient_of(name, bases, room)
    assert one == 1 and took == parts
    assert close(whole, split, 1e-5) and again == pytest.approx(loss, rel=1e-5)


class LateOutOfMemory(torch.autograd.Function):
    """Memory that ends on the way back, when the gradients of some parts have been added up already."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_counted_twice_when_memory_ends_in_the_middle_of_the_parts(name: str, bases: Path) -> None:
    whole, loss, _ = gradient_of(name, bases)
    model: Any
    family, model = family_and_model(name, bases)
    model.network.train()
    data = encoded(model, family)
    clean = model.start(data.inputs[:SIZE])
    noise, timesteps = noise_and_timesteps(0, 0, tuple(clean.shape), model.noise_steps)
    gradient, inner, calls = Gradient(model, "fp32"), model.loss, [0]
    gradient.parts = 2

    def second_fails(*arguments: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        found = inner(*arguments)
        return LateOutOfMemory.apply(found) if calls[0] == 2 else found

    model.loss = second_fails
    again = gradient.add(clean, noise, timesteps, model.embed(data.prompts[:SIZE]) if data.prompts else None)
    split = {n: p.grad for n, p in model.trainable().items() if p.grad is not None}
    assert gradient.parts == 4 and again == pytest.approx(loss, rel=1e-5) and close(whole, split, 1e-5)


def test_memory_for_not_even_one_image_says_what_to_set(bases: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError, match=r"execution\.gradient_checkpointing"):
        gradient_of("ldm", bases, room=0)


def test_a_training_on_little_memory_ends_where_the_other_does(bases: Path) -> None:
    ended = []
    for room in (8, 3):
        family, model = family_and_model("sd-lora", bases)
        narrow(model, room)
        train(model, encoded(model, family), TrainRecipe(4, 8, 1e-3, 0.5, 0))
        ended.append(model.weights())
    assert close(ended[0], ended[1], 1e-3)
    assert not same_bits(*ended)


@pytest.mark.parametrize("name", FAMILIES)
def test_activations_that_are_made_twice_give_the_same_gradient(name: str, bases: Path) -> None:
    once, loss, _ = gradient_of(name, bases)
    twice, again, _ = gradient_of(name, bases, checkpointing=True)
    assert again == pytest.approx(loss, rel=1e-6) and close(once, twice, 1e-6)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_float32_weights_to_a_little_other_numbers(
    name: str, precision: str, bases: Path
) -> None:
    ended, losses = [], []
    for kind in ("fp32", precision):
        family, model = family_and_model(name, bases)
        recipe = TrainRecipe(4, 8, 1e-3, 0.5, 0, precision=kind)  # type: ignore[arg-type]
        losses.append(train(model, encoded(model, family), recipe))
        assert {t.dtype for t in model.weights().values()} == {torch.float32}
        ended.append(model.weights())
    assert not same_bits(*ended) and losses[1] == pytest.approx(losses[0], rel=0.05) and losses[0] != losses[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_gone_on_from_any_step_ends_with_the_same_bits(name: str, bases: Path) -> None:
    """The first steps overflow at the scale that a scaler starts with, and are left out: whoever goes on must know of it."""
    recipe = TrainRecipe(8, 8, 1e-3, 0.5, 0, precision="fp16")
    states: list[TrainState] = []

    def trained(resume: TrainState | None = None) -> dict[str, torch.Tensor]:
        family, model = family_and_model(name, bases)
        noisy(model, 3000 if name == "sd-lora" else 30)
        train(model, encoded(model, family), recipe, resume=resume, save=states.append, save_every_seconds=-1)
        return model.weights()

    whole = trained()
    saved = list(states)
    scales = [float(state.tensors["scaler/scale"]) for state in saved]
    left_out = [int(state.tensors["scaler/skipped"]) for state in saved]
    assert 0 < left_out[-1] < 6 and scales[-1] == 65536 / 2 ** left_out[-1], f"this shows nothing: {left_out}"
    for state in (saved[0], saved[3], saved[-1]):
        assert same_bits(whole, trained(state))


def noisy(model: Any, factor: float) -> None:
    """Losses as large as those of models that have still to learn everything: gradients overflow in half precision."""
    inner: Callable[..., torch.Tensor] = model.loss
    model.loss = lambda *arguments: factor * inner(*arguments)
