"""Steps 2 and 3 as Prefect tasks: the reference model and the pruned model, once an epoch."""

from __future__ import annotations

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.ledger import ModelRecord
from infra.store import Store
from tasks.frozen import Epoch
from tasks.model.model import ModelDenoiser
from tasks.progress import Ticker
from tasks.properties import Statistics, resolve_property
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.pruned import obtain_pruned
from tasks.reference.reference import obtain_reference, reference_of
from tasks.reference.shown import obtain_shown
from tasks.study import Study


@task(task_run_name="train-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def train_reference(study: Study, epoch: Epoch, store: Store) -> tuple[Recipe, ModelRecord]:
    """The reference model of this epoch: found in the store, brought in, or trained on everybody's images."""
    log = get_run_logger()
    recipe = reference_of(study, epoch.data)
    record = obtain_reference(
        study,
        recipe,
        lambda: epoch.images.everybody,
        store,
        say=log.info,
        progress=Ticker(log.info, "training the reference"),
        check=epoch.check,
    )
    return recipe, record


@task(task_run_name="prune-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def prune_reference(
    study: Study, epoch: Epoch, reference: tuple[Recipe, ModelRecord], store: Store
) -> tuple[Recipe, ModelRecord]:
    """The model every coalition starts from: the reference, pruned and recovered."""
    log = get_run_logger()
    recipe = pruned_recipe(study.pruning, study.model, reference[0], epoch.data)
    measure = resolve_property("heldout_loss", study.properties)
    statistics: list[Statistics] = []

    def heldout_loss(denoiser: ModelDenoiser) -> float:
        if not statistics:
            statistics.append(measure.statistics(epoch.images.real))
        return measure.score(denoiser, statistics[0])

    record = obtain_pruned(
        study,
        recipe,
        reference[1],
        lambda: epoch.images.everybody,
        store,
        heldout_loss=heldout_loss,
        say=log.info,
        progress=Ticker(log.info, "recovering the pruned model"),
        check=epoch.check,
    )
    return recipe, record


@task(task_run_name="sample-reference-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def sample_reference(study: Study, reference: tuple[Recipe, ModelRecord], store: Store) -> np.ndarray:
    """A few images of the reference model, for people to look at."""
    return obtain_shown(study, *reference, store)
