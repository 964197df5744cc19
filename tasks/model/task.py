"""Steps 2 and 3 as Prefect tasks: the reference model and the pruned model, once an epoch."""

from __future__ import annotations

import numpy as np
import torch
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.ledger import ModelRecord
from infra.store import Store
from tasks.model.pipeline import pipeline_digests
from tasks.model.pruned import obtain_pruned
from tasks.model.reference import obtain_reference
from tasks.model.shown import obtain_shown
from tasks.model.train import TrainingData
from tasks.model.unet import UNetDenoiser
from tasks.partition import Partition
from tasks.progress import Ticker
from tasks.properties import RealImages, resolve_property
from tasks.recipe import Recipe, pruned_recipe, reference_recipe
from tasks.study import Study


@task(task_run_name="train-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def train_reference(study: Study, partition: Partition, data: Recipe, store: Store) -> tuple[Recipe, ModelRecord]:
    """The reference model of this epoch: found in the store, brought in, or trained on everybody's images."""
    log = get_run_logger()
    given = None if study.model.pretrained is None else pipeline_digests(study.model.pretrained)
    recipe = reference_recipe(study.model, data, given)
    record = obtain_reference(
        study,
        recipe,
        everybody(partition),
        store,
        say=log.info,
        progress=Ticker(log.info, "training the reference"),
    )
    return recipe, record


@task(task_run_name="prune-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def prune_reference(
    study: Study, partition: Partition, data: Recipe, reference: tuple[Recipe, ModelRecord], store: Store
) -> tuple[Recipe, ModelRecord]:
    """The model every coalition starts from: the reference, pruned and recovered."""
    log = get_run_logger()
    recipe = pruned_recipe(study.pruning, study.model, reference[0], data)
    measure = resolve_property("heldout_loss", study.properties)
    statistics = measure.statistics(
        RealImages(partition.train_pixels, partition.heldout_pixels, partition.heldout_digests)
    )

    def heldout_loss(denoiser: UNetDenoiser) -> float:
        return measure.score(denoiser, statistics)

    record = obtain_pruned(
        study,
        recipe,
        reference[1],
        everybody(partition),
        store,
        heldout_loss=heldout_loss,
        say=log.info,
        progress=Ticker(log.info, "recovering the pruned model"),
    )
    return recipe, record


@task(task_run_name="sample-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def sample_reference(study: Study, reference: tuple[Recipe, ModelRecord], store: Store) -> np.ndarray:
    """A few images of the reference model, for people to look at."""
    return obtain_shown(study, *reference, store)


def everybody(partition: Partition) -> TrainingData:
    """All training images, each weighing the sum of its owners' shares."""
    return TrainingData(
        torch.from_numpy(partition.train_pixels), partition.train_digests, partition.ownership.sum(axis=1)
    )
