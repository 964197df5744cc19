"""On a CUDA card: lower precision, compilation and channels-last change speed and last bits, not results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infra.store import Store
from tasks.families.stored import prepared
from tasks.model.model import Model
from tasks.model.sample import sample
from tasks.model.speed import prepare_for_training
from tasks.model.train import TrainRecipe, TrainState, train
from tasks.study import ExecutionSpec
from tests.families.building import PROMPTS, encoded, family_and_model, pixel_data, predicted

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

FAMILIES = ["ddpm", "ldm", "sd-lora"]


def trained(
    name: str,
    bases: Path,
    device: str = "cuda",
    precision: Any = "fp32",
    execution: ExecutionSpec | None = None,
    **more,
) -> tuple[Model, list[float]]:
    family, model = family_and_model(name, bases)
    data = encoded(model, family)
    model.to(device)
    prepare_for_training(model, execution or ExecutionSpec())
    return model, train(model, data, TrainRecipe(6, 8, 1e-3, 0.5, 0, precision=precision), device=device, **more)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_card_trains_to_what_the_cpu_does_in_every_precision(name: str, precision: str, bases: Path) -> None:
    model, losses = trained(name, bases, precision=precision)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32} and model.device.type == "cuda"
    assert losses == pytest.approx(trained(name, bases, "cpu")[1], rel=2e-2 if precision == "fp32" else 6e-2)
    assert torch.isfinite(predicted(model)).all()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "execution",
    [ExecutionSpec(channels_last=True), ExecutionSpec(compile=True), ExecutionSpec(compile=True, channels_last=True)],
    ids=["channels last", "compiled", "both"],
)
def test_compiled_and_channels_last_networks_train_alike(name: str, execution: ExecutionSpec, bases: Path) -> None:
    plain, fast = trained(name, bases), trained(name, bases, execution=execution)
    assert fast[1] == pytest.approx(plain[1], rel=1e-2)
    assert fast[0].weights().keys() == plain[0].weights().keys()
    assert torch.allclose(predicted(fast[0]), predicted(plain[0]), atol=2e-2)


@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision_goes_on_near_where_it_was(name: str, bases: Path) -> None:
    states: list[TrainState] = []
    whole, losses = trained(name, bases, precision="fp16", save=states.append, save_every_seconds=-1)
    assert "scaler/scale" in states[2].tensors
    resumed, rest = trained(name, bases, precision="fp16", resume=states[2])
    assert rest == pytest.approx(losses[3:], rel=1e-2)
    assert torch.allclose(predicted(whole), predicted(resumed), atol=2e-2)


@pytest.mark.parametrize("name", ["ldm", "sd-lora"])
def test_a_memory_that_is_really_too_small_is_answered_by_parts(name: str, bases: Path) -> None:
    family, model = family_and_model(name, bases)
    data = encoded(model, family, count=512)
    recipe = TrainRecipe(2, 512, 1e-3, 0.5, 0)
    model.to("cuda")
    start = model.weights()
    torch.cuda.reset_peak_memory_stats()
    whole = train(model, data, recipe, device="cuda")
    needed, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    model.load_weights(start)
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.6 * needed / total)
        assert train(model, data, recipe, device="cuda") == pytest.approx(whole, rel=1e-3)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("name", ["ldm", "sd-lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_card_encodes_and_draws_nearly_what_the_cpu_does(
    name: str, precision: str, bases: Path, store: Store
) -> None:
    drawn = []
    for device in ("cpu", "cuda"):
        family, model = family_and_model(name, bases)
        made = prepared(pixel_data(prompts=family.takes_prompts), model.to(device), Store(f"{store.url}-{device}"))
        drawn.append(
            sample(
                model,
                sampler="ddim",
                steps=4,
                images=6,
                batch_size=3,
                seed=0,
                prompts=PROMPTS[:2] if family.takes_prompts else (),
                precision=precision if device == "cuda" else "fp32",
                device=device,
            )
        )
        assert made.inputs.device.type == "cpu"
    assert np.abs(drawn[0].astype(int) - drawn[1].astype(int)).mean() < (1 if precision == "fp32" else 4)
