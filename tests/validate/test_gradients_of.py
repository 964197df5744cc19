"""Gradients are those of autograd, of the right image, whatever company it comes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.families.stored import encoded
from tasks.model.model import Model
from tasks.properties.heldout_loss import fixed_noise
from tasks.validate import gradients_of
from tasks.validate.gradients_of import image_gradients
from tasks.validation.gradients import OUTPUTS, gradient_credits
from tasks.validation.ownership import Ownership, RowOrderError
from tasks.validation.projection import Projection
from tests.families.building import PROMPTS, family_and_model, pixel_data
from tests.model.building import tiny_data, tiny_schedule, tiny_unet

pytestmark = pytest.mark.usefixtures("few_threads")
HOW: dict[str, Any] = {"timesteps": 3, "dimension": 128, "seed": 7}
COUNT = 5


def ddpm() -> Model:
    return Model(tiny_unet(), tiny_schedule())


def made(family: str, bases: Path) -> tuple[Model, torch.Tensor, tuple[str, ...], tuple[str, ...]]:
    """A model, and inputs, prompts and digests of a few images."""
    if family == "ddpm":
        data = tiny_data(COUNT)
        return ddpm(), data.inputs, (), data.digests
    kind, model = family_and_model(family, bases)
    data = pixel_data(COUNT, prompts=kind.takes_prompts)
    return model, encoded(data.inputs, model), data.prompts, data.digests


def by_hand(
    model: Model, clean: torch.Tensor, noise: torch.Tensor, levels: list[int], prompt: str | None, output: str
) -> torch.Tensor:
    """The gradient of one image by plain back-propagation, a noisy version at a time: float32 [1, p]."""
    model.network.zero_grad()
    for t, drawn in zip(levels, noise, strict=True):
        share = model.schedule.alphas_cumprod[t]
        noisy = share.sqrt() * clean + (1 - share).sqrt() * drawn
        predicted = model.predict(noisy, torch.tensor([t]), None if prompt is None else model.embed([prompt]))
        (OUTPUTS[output](predicted, drawn[None])[0] / len(levels)).backward()
    found = torch.cat([p.grad.flatten() for p in model.trainable().values() if p.grad is not None])
    model.network.zero_grad()
    return found[None]


@pytest.mark.parametrize("family", ["ddpm", "ldm", "sd-lora"])
def test_rows_are_the_projected_gradients_that_back_propagation_gives(
    family: str, bases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs, prompts, digests = made(family, bases)
    seen: dict[bytes, np.ndarray] = {}
    draw = gradients_of.fixed_noise

    def noted(names: list[bytes], levels: list[int], shape: tuple[int, ...]) -> np.ndarray:
        seen[names[0]] = draw(names, levels, shape)
        assert levels == [16, 50, 83] and set(names) == {names[0]}
        return seen[names[0]]

    monkeypatch.setattr(gradients_of, "fixed_noise", noted)
    found = image_gradients(model, inputs, prompts, digests, **HOW)
    assert set(found) == {"trak", "d_trak"}
    size = sum(p.numel() for p in model.trainable().values())
    projection = Projection(size, HOW["dimension"], HOW["seed"])
    for output, rows in found.items():
        assert rows.digests == digests and rows.values.shape == (COUNT, HOW["dimension"])
        for i, digest in enumerate(digests):
            noise = torch.from_numpy(seen[bytes.fromhex(digest)])
            prompt = prompts[i] if prompts else None
            expected = by_hand(model, model.start(inputs[i : i + 1]), noise, [16, 50, 83], prompt, output)
            assert np.allclose(rows.values[i], projection.apply(expected)[0], rtol=1e-3, atol=1e-5)
    assert not np.allclose(found["trak"].values, found["d_trak"].values, rtol=0.1)


def test_the_gradients_of_the_loss_are_those_of_the_models_own_training_objective() -> None:
    model, data = ddpm(), tiny_data(1)
    rows = image_gradients(model, data.inputs, (), data.digests, **HOW)["trak"].values
    levels = [16, 50, 83]
    noise = torch.from_numpy(fixed_noise([bytes.fromhex(data.digests[0])] * 3, levels, (3, 8, 8)))
    model.loss(model.start(data.inputs).expand(3, -1, -1, -1), noise, torch.tensor(levels)).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.trainable().values() if p.grad is not None])[None]
    assert np.allclose(rows, Projection(gradient.shape[1], 128, 7).apply(gradient), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["ddpm", "sd-lora"])
def test_a_row_is_the_same_in_any_order_company_and_portion(
    family: str, bases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs, prompts, digests = made(family, bases)
    whole = image_gradients(model, inputs, prompts, digests, **HOW)
    again = image_gradients(model, inputs, prompts, digests, **HOW)
    assert all((whole[output].values == again[output].values).all() for output in whole)  # to the bit

    order = [3, 0, 4, 2]
    others = [prompts[i] for i in order] if prompts else ()
    moved = image_gradients(model, inputs[order], others, [digests[i] for i in order], outputs=("d_trak",), **HOW)
    monkeypatch.setattr("tasks.validate.gradients_of.WAITING_BYTES", 1)  # projected one by one
    alone = image_gradients(model, inputs, prompts, digests, **HOW)
    for output in whole:
        size = np.abs(whole[output].values).max()
        assert np.allclose(whole[output].values, alone[output].values, atol=1e-5 * size)
    assert np.allclose(
        moved["d_trak"].values, whole["d_trak"].values[order], atol=1e-5 * np.abs(whole["d_trak"].values).max()
    )
    with pytest.raises(RowOrderError, match="a shuffled loader must not be trusted"):
        gradient_credits(moved["d_trak"], moved["d_trak"].values, Ownership([digests[i] for i in range(4)], np.eye(4)))


def test_noise_is_the_digests_own_and_prompts_are_heard(bases: Path) -> None:
    model, inputs, _, digests = made("sd-lora", bases)
    same = inputs[[0, 0, 0]]
    rows = image_gradients(
        model, same, [PROMPTS[0], PROMPTS[0], PROMPTS[1]], [digests[0], digests[1], digests[0]], **HOW
    )
    for of_output in rows.values():
        first, other_digest, other_prompt = of_output.values
        scale = np.abs(first).max()
        assert np.abs(first - other_digest).max() > 1e-3 * scale
        assert np.abs(first - other_prompt).max() > 1e-3 * scale
    twice = image_gradients(model, same[:2], PROMPTS[:1] * 2, [digests[0]] * 2, **HOW)["trak"].values
    assert np.allclose(twice[0], twice[1], rtol=1e-4, atol=1e-7)
    assert model.trainable() and all(p.grad is None for p in model.network.parameters())


def test_memory_that_does_not_suffice_costs_parts_and_no_other_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = ddpm(), tiny_data(2)
    whole = image_gradients(model, data.inputs, (), data.digests, **HOW)
    predict: Callable[..., torch.Tensor] = model.predict
    calls = []

    def narrow(noisy: torch.Tensor, *rest: Any) -> torch.Tensor:
        calls.append(len(noisy))
        if len(noisy) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(noisy, *rest)

    monkeypatch.setattr(model, "predict", narrow)
    parts = image_gradients(model, data.inputs, (), data.digests, **HOW)
    assert calls == [3, 2, 1, 1, 1, 1, 1, 1]  # what was learned of the first image serves the second
    for output in whole:
        assert np.allclose(whole[output].values, parts[output].values, atol=1e-5 * np.abs(whole[output].values).max())


def test_a_network_that_is_to_be_compiled_gives_both_outputs_of_one_forward() -> None:
    model, data = ddpm(), tiny_data(2)
    plain = image_gradients(model, data.inputs, (), data.digests, **HOW)
    model.network.compile()
    compiled = image_gradients(model, data.inputs, (), data.digests, **HOW)
    assert all((plain[output].values == compiled[output].values).all() for output in plain)


def test_what_does_not_fit_together_is_refused_by_name() -> None:
    model, data = ddpm(), tiny_data(2)
    with pytest.raises(ValueError, match="2 images and 1 digests"):
        image_gradients(model, data.inputs, (), data.digests[:1], **HOW)
    with pytest.raises(ValueError, match="1 prompts for 2 images"):
        image_gradients(model, data.inputs, ("a",), data.digests, **HOW)
    with pytest.raises(ValueError, match="'xyz' is not hexadecimal"):
        image_gradients(model, data.inputs, (), ("xyz", "00"), **HOW)
    with pytest.raises(ValueError, match="timesteps is 101; the model has noise levels for 1 to 100"):
        image_gradients(model, data.inputs, (), data.digests, **{**HOW, "timesteps": 101})
    with pytest.raises(ValueError, match="outputs must be some of trak, d_trak"):
        image_gradients(model, data.inputs, (), data.digests, outputs=("loss",), **HOW)  # type: ignore[arg-type]
    with torch.no_grad():
        next(iter(model.trainable().values())).fill_(float("nan"))
    with pytest.raises(ValueError, match=f"image {data.digests[0]} is not finite; the model may have diverged"):
        image_gradients(model, data.inputs, (), data.digests, **HOW)
