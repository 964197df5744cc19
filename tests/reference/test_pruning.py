"""Pruning in the form that the study trains in: precision, checkpointing, and the memory of one batch."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from infra.store import Store
from tasks.model.model import Model
from tasks.model.randomness import choose_batch, image_keys, noise_and_timesteps
from tasks.model.train import train
from tasks.reference import pruned as under_test
from tasks.reference.pruned import TAYLOR_BATCHES, obtain_pruned
from tasks.reference.reference import obtain_reference
from tests.model.building import pruned_recipe_of, reference_recipe_of, tiny_data, tiny_schedule, tiny_study, tiny_unet


def pruned_of(study, store):
    recipe = reference_recipe_of(study)
    reference = obtain_reference(study, recipe, tiny_data, store, say=print)
    return obtain_pruned(
        study, pruned_recipe_of(study, recipe), reference, tiny_data, store, heldout_loss=lambda _: 0.0, say=print
    )


def batch(model, study, step):
    data = tiny_data()
    chosen = choose_batch(study.model.seed, step, image_keys(data.digests), data.weights, study.model.batch_size)
    clean = model.start(data.inputs[torch.from_numpy(chosen)])
    return clean, *noise_and_timesteps(study.model.seed, step, tuple(clean.shape), model.noise_steps)


def test_taylors_gradients_batch_by_batch_are_those_of_the_mean_loss_to_the_bit():
    study, one = tiny_study(), Model(tiny_unet(attention=[1]), tiny_schedule())
    other = Model(copy.deepcopy(one.network), one.schedule)
    under_test._loss_on(one, tiny_data(), study)()
    total = torch.zeros(())
    for step in range(TAYLOR_BATCHES):
        total = total + other.loss(*batch(other, study, step))
    (total / TAYLOR_BATCHES).backward()
    assert all(
        p.grad is not None and q.grad is not None and torch.equal(p.grad, q.grad)
        for p, q in zip(one.network.parameters(), other.network.parameters(), strict=True)
    )


def test_no_batch_is_looked_at_before_the_one_before_it_was_back_propagated(monkeypatch: pytest.MonkeyPatch):
    study, model, order = tiny_study(), Model(tiny_unet(), tiny_schedule()), list[str]()
    forward, backward = model.loss, torch.Tensor.backward

    def noted(said: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: (order.append(said), real(*given))[1]  # type: ignore[func-returns-value]

    monkeypatch.setattr(model, "loss", noted("forward", forward))
    monkeypatch.setattr(torch.Tensor, "backward", noted("backward", backward))
    under_test._loss_on(model, tiny_data(), study)()
    assert order == ["forward", "backward"] * TAYLOR_BATCHES


def test_the_table_is_timed_in_the_studys_precision_and_with_its_checkpointing(tmp_path, monkeypatch):
    timed = list[tuple[str, bool]]()

    def seen(model, data, recipe, **more):
        timed.append((recipe.precision, model.network.is_gradient_checkpointing))
        return train(model, data, recipe, **more)

    monkeypatch.setattr(under_test, "train", seen)
    study = tiny_study(
        model={"precision": "bf16", "train_steps": 1},
        pruning={"recovery_steps": 0},
        execution={"gradient_checkpointing": True},
    )
    pruned_of(study, Store(str(tmp_path)))
    assert timed == [("bf16", True)] * 4  # two stages, a warm-up and a measurement each


@pytest.mark.parametrize("importance", ["magnitude", "taylor"])
def test_checkpointing_prunes_to_the_same_weights(tmp_path, importance):
    made = [
        pruned_of(
            tiny_study(
                model={"train_steps": 2},
                pruning={"importance": importance, "recovery_steps": 0},
                execution={"gradient_checkpointing": checkpointing},
            ),
            Store(str(tmp_path / str(checkpointing))),
        )
        for checkpointing in (False, True)
    ]
    assert made[0].key == made[1].key and made[0].sha256 == made[1].sha256
