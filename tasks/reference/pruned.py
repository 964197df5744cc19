"""Step 3: the pruned model every coalition starts from. Once an epoch.

pruned/<sha256>.safetensors   weights
pruned/<sha256>.json          {"architecture": …, "schedule": …}: all that is needed to build the shapes, as data
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from infra.digest import canonical_json, sha256
from infra.ledger import Ledger, ModelRecord
from infra.provenance import now, provenance
from infra.store import Store
from tasks.model.network_config import checked_schedule
from tasks.model.prune import architecture, build, count_macs, fill, prune, skeleton
from tasks.model.randomness import choose_batch, image_keys, noise_and_timesteps
from tasks.model.threads import device_of, one_thread
from tasks.model.train import Progress, TrainingData, TrainRecipe, train
from tasks.model.unet import UNetDenoiser, to_model_space
from tasks.recipe import Recipe, recovery_training
from tasks.reference.checkpoint import Say, train_resumable
from tasks.reference.reference import load_reference
from tasks.study import Study

HeldoutLoss = Callable[[UNetDenoiser], float]
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
) -> ModelRecord:
    """The pruned and recovered model of this recipe: from the store, or made and stored.

    Args:
        data: brings everybody's images; asked only if there is something to make.

    Raises:
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
    device, images = device_of(study.execution.device), data()
    unet, schedule = load_reference(reference, store, study.model.resolution)
    stages = [_describe("reference", unet, schedule, images, study, heldout_loss, device)]
    if study.pruning.ratio > 0:
        prune(unet, study.pruning.ratio, study.pruning.importance, loss=_loss_on(images, schedule, study))
        stages.append(_describe("pruned", unet, schedule, images, study, heldout_loss, device))
        say(
            f"pruned from {stages[0].parameters:,} to {stages[1].parameters:,} parameters "
            f"({1 - stages[1].macs / stages[0].macs:.0%} less work a step)"
        )
        if study.pruning.recovery_steps > 0:
            train_resumable(
                unet,
                schedule,
                images,
                recovery_training(study.pruning, study.model),
                device=device,
                store=store,
                key=checkpoint,
                every_seconds=study.execution.checkpoint_seconds,
                say=say,
                progress=progress,
            )
            stages.append(_describe("recovered", unet, schedule, images, study, heldout_loss, device))
    description = {"architecture": architecture(unet), "schedule": _plain_config(schedule)}
    weights = save_tensors({name: tensor.contiguous().cpu() for name, tensor in unet.state_dict().items()})
    shapes = canonical_json(description)
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
            files={"architecture": sha256(shapes)},
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

    description: dict[str, Any]
    weights: dict[str, torch.Tensor]
    schedule: DDPMScheduler

    @functools.cached_property
    def _skeleton(self) -> UNet2DModel:
        # Checking a description takes as long as a training step or two: once is enough.
        return skeleton(self.description["architecture"])

    def network(self, with_weights: bool = True) -> UNet2DModel:
        """A new network; without weights its numbers are meaningless until reset or loaded."""
        unet = fill(self._skeleton)
        if with_weights:
            unet.load_state_dict(self.weights)
        return unet


def pruned_files(record: ModelRecord) -> tuple[str, str]:
    """Where in the store the weights of a recorded pruned model are, and its architecture."""
    return f"pruned/{record.sha256}.safetensors", f"pruned/{record.files['architecture']}.json"


def pruned_is_stored(record: ModelRecord, store: Store) -> bool:
    """Whether both are there; what has been tidied away leaves its record behind."""
    return all(store.exists(key) for key in pruned_files(record))


def load_pruned(key: str, store: Store) -> PrunedModel:
    """Read the pruned model and check both files against the ledger.

    Raises:
        FileNotFoundError: if the ledger does not know it.
        StoreError: if a file is not what the ledger says it is.
        ValueError: if the description is not of a network that this program makes.
    """
    record = Ledger(store).get(ModelRecord, key)
    if record is None:
        raise FileNotFoundError(f"{store.where(f'pruned/{key}')}: the ledger knows no such pruned model")
    weights, shapes = pruned_files(record)
    description = json.loads(store.read(shapes, record.files["architecture"]))
    return PrunedModel(
        description, load_tensors(store.read(weights, record.sha256)), checked_schedule(description["schedule"])
    )


def _describe(
    model: str,
    unet: UNet2DModel,
    schedule: DDPMScheduler,
    data: TrainingData,
    study: Study,
    heldout_loss: HeldoutLoss,
    device: str,
) -> Stage:
    macs, parameters = count_macs(unet)
    copy = build(architecture(unet))
    copy.load_state_dict(unet.state_dict())
    unet.to(device)
    timing = TrainRecipe(TIMED_STEPS, study.coalition.batch_size, 1e-6, 0.0, 0)
    with one_thread():
        train(copy, schedule, data, TrainRecipe(1, study.coalition.batch_size, 1e-6, 0.0, 0), device=device)  # warm up
        started = time.monotonic()
        train(copy, schedule, data, timing, device=device)
        seconds = (time.monotonic() - started) / TIMED_STEPS
    return Stage(model, parameters, macs, seconds, heldout_loss(UNetDenoiser(unet, schedule)))


def _loss_on(data: TrainingData, schedule: DDPMScheduler, study: Study) -> Callable[[UNet2DModel], torch.Tensor]:
    """The denoising loss over a few batches, with the coalitions' own random numbers: what Taylor importance asks for."""
    keys = image_keys(data.digests)

    def loss(unet: UNet2DModel) -> torch.Tensor:
        total = torch.zeros((), device=unet.device)
        for step in range(TAYLOR_BATCHES):
            chosen = choose_batch(study.model.seed, step, keys, data.weights, study.model.batch_size)
            clean = to_model_space(data.pixels[torch.from_numpy(chosen)]).to(unet.device)
            noise, t = noise_and_timesteps(study.model.seed, step, tuple(clean.shape), len(schedule.alphas_cumprod))
            noise, t = noise.to(unet.device), t.to(unet.device)
            total = total + torch.nn.functional.mse_loss(unet(schedule.add_noise(clean, noise, t), t).sample, noise)
        return total / TAYLOR_BATCHES

    return loss


def _plain_config(schedule: DDPMScheduler) -> dict[str, Any]:
    return {k: v for k, v in schedule.config.items() if not k.startswith("_") and v is not None}
