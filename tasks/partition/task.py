"""Step 1 as a Prefect task."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.partition.partition import partition
from tasks.partition.types import Partition
from tasks.progress import Ticker
from tasks.recipe import Recipe, data_recipe
from tasks.study import Study


@task(task_run_name="partition-{study.name}", cache_policy=NO_CACHE)
def partition_data(study: Study, store: Store) -> tuple[Partition, Recipe]:
    """Read the images, find out whose they are, and put them in the store as the models will see them."""
    log = get_run_logger()
    parts = partition(study.data, study.model.resolution, progress=Ticker(log.info, "reading images"))
    for problem in parts.problems[:20]:
        log.warning("%s %r: %s (%s)", problem.kind, problem.subject, problem.reason, problem.action)
    if len(parts.problems) > 20:
        log.warning("%d more remarks on the data are in the statement", len(parts.problems) - 20)
    log.info(
        "%d contributors own %d training images; %d images are held out",
        len(parts.contributors),
        len(parts.train_digests),
        len(parts.heldout_digests),
    )
    data = data_recipe(parts, study.model.resolution)
    key = f"data/{data.key}.safetensors"
    if not store.exists(key):
        store.save_arrays(key, {"train_pixels": parts.train_pixels, "heldout_pixels": parts.heldout_pixels})
    return parts, data
