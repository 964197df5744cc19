"""Step 2: the reference model, trained on everybody's images, or given. Once an epoch.

A training is saved as it goes; a run that was killed goes on from the last save and ends with the same weights as one that
was not. The result is a standard `DDPMPipeline` folder in the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from diffusers import DDPMScheduler, UNet2DModel

from infra.digest import sha256
from infra.ledger import Ledger, ModelRecord
from infra.provenance import now, provenance
from infra.store import Store, scratch_folder
from tasks.model.pipeline import load_pipeline, pipeline_digests, save_pipeline
from tasks.model.threads import device_of
from tasks.model.train import Progress, TrainingData
from tasks.model.unet import build_unet, noise_schedule
from tasks.recipe import Recipe, network_config, reference_recipe, reference_training
from tasks.reference.checkpoint import Say, train_resumable
from tasks.study import Study

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"  # as diffusers names them


def obtain_reference(
    study: Study,
    recipe: Recipe,
    data: Callable[[], TrainingData],
    store: Store,
    *,
    say: Say,
    progress: Progress | None = None,
) -> ModelRecord:
    """The reference of this recipe: from the store, or trained (or brought in) and stored.

    Args:
        data: brings everybody's images; asked only if there is something to train.

    Raises:
        Diverged: if training produced numbers that are not finite.
        LedgerConflict: if one that had been removed from the store came out otherwise this time.
    """
    ledger = Ledger(store)
    known = ledger.get(ModelRecord, recipe.key)
    if known is not None and reference_is_stored(known, store):
        say(f"reference {recipe.key[:12]} is in the store: nothing to train")
        return known
    if known is not None:
        say(f"reference {recipe.key[:12]} was removed from the store: it is made again, and must come out the same")
    started = time.monotonic()
    model = study.model
    checkpoint = f"reference/{recipe.key}/checkpoint.safetensors"
    if model.pretrained is not None:
        unet, schedule = load_pipeline(model.pretrained, model.resolution)
    else:
        unet = build_unet(network_config(model), model.seed)
        schedule = noise_schedule(model.noise_steps, model.beta_schedule)
    device = device_of(study.execution.device)
    if model.pretrained is None or model.pretrained_is == "base":
        train_resumable(
            unet,
            schedule,
            data(),
            reference_training(model),
            device=device,
            store=store,
            key=checkpoint,
            every_seconds=study.execution.checkpoint_seconds,
            say=say,
            progress=progress,
        )
    with scratch_folder() as folder:
        save_pipeline(unet, schedule, Path(folder))
        # Named by content: two runs that train the same reference and get other bits cannot overwrite each other's.
        weights = sha256((Path(folder) / WEIGHTS).read_bytes())
        files = store.upload_folder(Path(folder), f"reference/{weights}")
    record = ledger.record(
        ModelRecord(
            key=recipe.key,
            spec=recipe.spec,
            seconds=time.monotonic() - started,
            created=now(),
            provenance=provenance(device),
            sha256=weights,
            files=files,
        )
    )
    store.delete(checkpoint)
    return record


def reference_of(study: Study, data: Recipe) -> Recipe:
    """The recipe of a study's reference on these images; a given pipeline is read for its digests."""
    given = None if study.model.pretrained is None else pipeline_digests(study.model.pretrained)
    return reference_recipe(study.model, data, given)


def reference_folder(record: ModelRecord) -> str:
    """Where in the store the pipeline folder of a recorded reference is."""
    return f"reference/{record.sha256}"


def reference_is_stored(record: ModelRecord, store: Store) -> bool:
    """Whether every file of a recorded reference is there; what has been tidied away leaves its record behind."""
    folder = reference_folder(record)
    return {f"{folder}/{name}" for name in record.files} <= set(store.list(folder))


def load_reference(record: ModelRecord, store: Store, resolution: int) -> tuple[UNet2DModel, DDPMScheduler]:
    """The stored reference, each file checked against its digest."""
    with scratch_folder() as folder:
        store.download_folder(reference_folder(record), Path(folder), record.files)
        return load_pipeline(folder, resolution)
