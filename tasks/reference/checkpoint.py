"""Interrupted trainings in the store: saved as they go, found again by the next run of the same recipe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from infra.store import NOBODYS_FAULT, Store, StoreError
from tasks.images_gone import Check, look_again, nobodys
from tasks.model.model import Model
from tasks.model.threads import one_thread
from tasks.model.train import Progress, TrainingData, TrainRecipe, TrainState, misfit, train

Say = Callable[[str], None]


def train_resumable(
    model: Model,
    data: TrainingData,
    recipe: TrainRecipe,
    *,
    device: str,
    store: Store,
    key: str,
    every_seconds: float,
    say: Say,
    progress: Progress | None = None,
    check: Check = nobodys,
) -> None:
    """`train`, saved under `key` every so often; a checkpoint found there is gone on from. The caller deletes it once the
    result is recorded. A checkpoint that is not one of this training is reported, and training starts anew.

    Args:
        check: raises ImagesGone if what is made of the data may no longer be kept; asked at every checkpoint.

    Raises:
        Diverged: see `train`.
        ImagesGone: the checkpoint is removed then.
    """
    resume, why_not = load_checkpoint(store, key), None
    if resume is not None:
        why_not = misfit(model, recipe, resume)
    if why_not is not None:
        say(f"{store.where(key)} is not a checkpoint of this training ({why_not}): training starts anew")
        resume = None
    elif resume is not None:
        say(f"an interrupted training was found: going on from step {resume.step} of {recipe.steps}")

    def save(state: TrainState) -> None:
        look_again(check, store, key)  # the last one must go too
        save_checkpoint(store, key, state)
        look_again(check, store, key)

    with one_thread():
        train(
            model,
            data,
            recipe,
            device=device,
            resume=resume,
            save=save,
            save_every_seconds=every_seconds,
            progress=progress,
        )


def save_checkpoint(store: Store, key: str, state: TrainState) -> None:
    """Write a training's state as safetensors, whole or not at all."""
    arrays = {name: tensor.numpy() for name, tensor in state.tensors.items()}
    store.save_arrays(key, {**arrays, "step": np.array([state.step], dtype=np.int64)})


def load_checkpoint(store: Store, key: str) -> TrainState | None:
    """The state under `key`, or None if there is none. Bytes that are no state at all come back as an empty one, which
    fits no training."""
    if not store.exists(key):
        return None
    try:
        arrays = store.load_arrays(key)
        step = int(arrays.pop("step").item())
    except NOBODYS_FAULT:  # which says nothing about the state: it is not trained from the start for that
        raise
    except (StoreError, KeyError, ValueError):
        return TrainState(0, {})
    return TrainState(step, {name: torch.from_numpy(array) for name, array in arrays.items()})
