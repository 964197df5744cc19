"""Step 1 as a Prefect task."""

from __future__ import annotations

from itertools import groupby

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.opt_outs import opted_out
from infra.settings import store_url
from infra.store import Store
from tasks.families import family_of
from tasks.images_gone import ImagesGone
from tasks.partition.partition import partition
from tasks.partition.types import Partition
from tasks.progress import Ticker
from tasks.recipe import Recipe, data_recipe
from tasks.study import Study

SHOWN = 3  # remarks of a kind that the log quotes


@task(task_run_name="partition-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def partition_data(study: Study, store: Store) -> tuple[Partition, Recipe, str]:
    """Read the images, find out whose they are, and put them in the store as the models will see them.

    Returns:
        Who owns what, the recipe of the data, and the sha256 under which the pixels are in the store.

    Raises:
        ImagesGone: if somebody opted out meanwhile; what was stored is removed again.
    """
    before = opted_out(store)
    parts = _read(study, store, "in the statement, by name")
    digest = store.save_named_by_content("data", parts.stored())
    if left := sorted(set(opted_out(store)) - set(before)):  # this machine was away for longer than its lease lasts
        store.delete(f"data/{digest}.safetensors")
        raise ImagesGone(f"{' and '.join(map(repr, left))} opted out while the images were read: start the study again")
    return parts, data_recipe(parts, study.model.resolution), digest


@task(task_run_name="read-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def read_data(study: Study) -> tuple[Partition, Recipe]:
    """The same, and nothing is stored."""
    parts = _read(study, Store(store_url()), "among this run's artifacts")
    return parts, data_recipe(parts, study.model.resolution)


def _read(study: Study, store: Store, listed: str) -> Partition:
    log = get_run_logger()
    family = family_of(study.model)
    family.check(study)  # what the form asks for and the model cannot do is said before images are read
    parts = partition(
        study.data,
        study.model.resolution,
        prompts=family.takes_prompts,
        opted_out=opted_out(store),
        progress=Ticker(log.info, "reading images"),
    )
    for kind, of_kind in groupby(sorted(parts.problems, key=lambda p: p.kind), key=lambda p: p.kind):
        several = list(of_kind)
        shown = "; ".join(problem.reason for problem in several[:SHOWN])
        log.warning("%s (%d): %s%s", kind, len(several), shown, " …" if len(several) > SHOWN else "")
    if parts.problems:
        log.info("every remark on the data is %s", listed)
    log.info(
        "%d contributors own %d training images; %d images are held out",
        len(parts.contributors),
        len(parts.train_digests),
        len(parts.heldout_digests),
    )
    return parts
