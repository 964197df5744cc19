"""Step 3: the pruned model every coalition starts from. Once an epoch.

pruned/<sha256>.safetensors   weights
pruned/<sha256>.json          {"architecture": …, "schedule": …}: all that is needed to build the shapes, as data
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import save as save_tensors

from infra.digest import canonical_json, sha256
from infra.ledger import Ledger, ModelRecord
from infra.provenance import now, provenance
from infra.store import Store, StoreError
from tasks.families import Family, Maker, family_of
from tasks.families.stored import base_is_stored, base_of, description_in, fetch_base, fill, prepared, tensors_in
from tasks.families.types import base_digest
from tasks.images_gone import Check, look_again, nobodys
from tasks.model.model import Loss, Model, ModelDenoiser
from tasks.model.randomness import choose_batch, image_keys, noise_and_timesteps
from tasks.model.speed import prepare_for_training
from tasks.model.threads import device_of, one_thread
from tasks.model.train import Progress, TrainingData, TrainRecipe, train
from tasks.recipe import Recipe, recovery_training
from tasks.reference.checkpoint import Say, train_resumable
from tasks.reference.reference import load_reference
from tasks.study import Study

HeldoutLoss = Callable[[ModelDenoiser], float]
TAYLOR_BATCHES = 4
TIMED_STEPS = 4


@dataclass(frozen=True)
class Stage:
    """One row of the statement's pruning table."""

    model: str  # reference, pruned, recovered
    parameters: int
    macs: int  # multiply-accumulates of one forward pass of one image
    seconds_per_step: float  # one gradient step on a coalition's batch, one CPU thread or the device
    heldout_loss: float


def obtain_pruned(
    study: Study,
    recipe: Recipe,
    reference: ModelRecord,
    data: Callable[[], TrainingData],
    store: Store,
    *,
    heldout_loss: HeldoutLoss,
    say: Say,
    progress: Progress | None = None,
    check: Check = nobodys,
) -> ModelRecord:
    """The pruned and recovered model of this recipe: from the store, or made and stored.

    Args:
        data: brings everybody's images; asked only if there is something to make.
        check: raises ImagesGone if what is made of them may no longer be kept.

    Raises:
        ImagesGone: if the images were removed meanwhile, up to the end of training.
        LedgerConflict: if one that had been removed from the store came out otherwise this time.
    """
    ledger = Ledger(store)
    known = ledger.get(ModelRecord, recipe.key)
    if known is not None and pruned_is_stored(known, store):
        say(f"pruned model {recipe.key[:12]} is in the store: nothing to prune")
        return known
    if known is not None:
        say(f"pruned model {recipe.key[:12]} was removed from the store: it is made again, and must come out the same")
    started = time.monotonic()
    checkpoint = f"pruned/{recipe.key}/checkpoint.safetensors"
    device, family = device_of(study.execution.device), family_of(study.model)
    model = load_reference(study, reference, store).to(device)
    # Timed as it is trained, but not compiled: pruning must see the layers, and changes them.
    prepare_for_training(model, study.execution.model_copy(update={"compile": False}))
    images = prepared(data(), model, store, say, check)
    stages = [_describe("reference", model, family, images, study, heldout_loss, device)]
    if study.pruning.ratio > 0:
        family.prune(model, study.pruning, _loss_on(model, images, study))
        stages.append(_describe("pruned", model, family, images, study, heldout_loss, device))
        say(
            f"pruned from {stages[0].parameters:,} to {stages[1].parameters:,} parameters "
            f"({1 - stages[1].macs / stages[0].macs:.0%} less work a step)"
        )
        if study.pruning.recovery_steps > 0:
            prepare_for_training(model, study.execution)
            train_resumable(
                model,
                images,
                recovery_training(study.pruning, study.model),
                device=device,
                store=store,
                key=checkpoint,
                every_seconds=study.execution.checkpoint_seconds,
                say=say,
                progress=progress,
                check=check,
            )
            stages.append(_describe("recovered", model, family, images, study, heldout_loss, device))
    look_again(check, store, checkpoint)
    description = family.describe(model)
    weights = save_tensors({name: tensor.contiguous() for name, tensor in model.weights().items()})
    shapes, base = canonical_json(description), base_of(description)
    store.write(f"pruned/{sha256(shapes)}.json", shapes)
    store.write(f"pruned/{sha256(weights)}.safetensors", weights)
    record = ledger.record(
        ModelRecord(
            key=recipe.key,
            spec=recipe.spec,
            seconds=time.monotonic() - started,
            created=now(),
            provenance=provenance(device),
            sha256=sha256(weights),
            files={"architecture": sha256(shapes), **({} if base is None else {"base": base_digest(base)})},
            facts={f"{s.model}/{fact}": float(getattr(s, fact)) for s in stages for fact in _FACTS},
        )
    )
    store.delete(checkpoint)
    return record


_FACTS = ("parameters", "macs", "seconds_per_step", "heldout_loss")


def pruning_table(record: ModelRecord) -> list[dict[str, Any]]:
    """Rows of the statement's pruning table: model, parameters, macs, seconds_per_step, heldout_loss."""
    stages = [s for s in ("reference", "pruned", "recovered") if f"{s}/parameters" in record.facts]
    return [{"model": s, **{fact: record.facts[f"{s}/{fact}"] for fact in _FACTS}} for s in stages]


@dataclass(frozen=True)
class PrunedModel:
    """The pruned model as it lies in the store: what a worker needs to make networks from."""

    weights: dict[str, torch.Tensor]
    make: Maker
    where: str  # the weights are, for messages

    def model(self, with_weights: bool = True) -> Model:
        """A new model; without weights its numbers are meaningless until reset or loaded. Those that were made before are
        not used any more: they may share their large parts with it."""
        model = self.make()
        if with_weights:
            fill(model, self.weights, self.where)
        return model


def pruned_files(record: ModelRecord) -> tuple[str, str]:
    """Where in the store the weights of a recorded pruned model are, and its architecture."""
    return f"pruned/{record.sha256}.safetensors", f"pruned/{record.files['architecture']}.json"


def pruned_is_stored(record: ModelRecord, store: Store) -> bool:
    """Whether all of it is there; what has been tidied away leaves its record behind."""
    if not all(store.exists(key) for key in pruned_files(record)):
        return False
    if "base" not in record.files:
        return True
    description = description_in(store, pruned_files(record)[1], record.files["architecture"])
    return base_is_stored(base_of(description) or {}, store)


def load_pruned(study: Study, key: str, store: Store) -> PrunedModel:
    """Read the pruned model and check its files against the ledger.

    Raises:
        FileNotFoundError: if the ledger does not know it.
        StoreError: if a file is not what the ledger says it is, or describes no network that this program makes.
    """
    record = Ledger(store).get(ModelRecord, key)
    if record is None:
        raise FileNotFoundError(f"{store.where(f'pruned/{key}')}: the ledger knows no such pruned model")
    if record.sha256 is None or "architecture" not in record.files:
        raise StoreError(
            f"the record {key} of the ledger is not that of a pruned model: {record.failure or 'no files'}"
        )
    weights, shapes = pruned_files(record)
    description = description_in(store, shapes, record.files["architecture"])
    with fetch_base(base_of(description), store) as base:
        try:
            make = family_of(study.model).maker(description, base)
        except ValueError as error:
            raise StoreError(f"{store.where(shapes)} describes no model of this study: {error}") from error
    return PrunedModel(tensors_in(store, weights, record.sha256), make, store.where(weights))


def _describe(
    stage: str,
    model: Model,
    family: Family,
    data: TrainingData,
    study: Study,
    heldout_loss: HeldoutLoss,
    device: str,
) -> Stage:
    macs, parameters = family.count(model)
    weights, batch = model.weights(), study.coalition.batch_size
    recipe = TrainRecipe(TIMED_STEPS, batch, 1e-6, 0.0, 0, precision=study.model.precision)
    with one_thread():
        train(model, data, replace(recipe, steps=1), device=device)  # warm up
        started = time.monotonic()
        train(model, data, recipe, device=device)
        seconds = (time.monotonic() - started) / TIMED_STEPS
    model.load_weights(weights)
    return Stage(stage, parameters, macs, seconds, heldout_loss(ModelDenoiser(model)))


def _loss_on(model: Model, data: TrainingData, study: Study) -> Loss:
    """The mean denoising loss of a few batches, with the coalitions' own random numbers: what Taylor importance asks for.

    Each batch is back-propagated before the next one is looked at: memory holds the activations of one."""
    keys, seed = image_keys(data.digests), study.model.seed

    def loss() -> None:
        # The last batch first, as in the back-propagation of their sum: gradients add up to the same bits.
        for step in reversed(range(TAYLOR_BATCHES)):
            chosen = choose_batch(seed, step, keys, data.weights, study.model.batch_size)
            clean = model.start(data.inputs[torch.from_numpy(chosen)]).to(model.device)
            noise, t = noise_and_timesteps(seed, step, tuple(clean.shape), model.noise_steps)
            condition = model.embed([data.prompts[i] for i in chosen]) if data.prompts else None
            of_batch = model.loss(
                clean,
                noise.to(model.device),
                t.to(model.device),
                None if condition is None else condition.to(model.device),
            )
            (of_batch / TAYLOR_BATCHES).backward()

    return loss
