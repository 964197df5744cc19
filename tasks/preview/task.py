"""The preview as a Prefect task: for the log, for the page in the UI, and as a value."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.epoch.task import check_work_pool
from tasks.evaluate.shards.pool import FLOW as SHARDS
from tasks.evaluate.shards.pool import open_pool
from tasks.partition import Partition
from tasks.preview.preview import look_ahead
from tasks.preview.text import answers, page, problems_table
from tasks.preview.types import Preview
from tasks.recipe import Recipe
from tasks.study import Study


@task(task_run_name="preview-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def preview_run(study: Study, partition: Partition, data: Recipe, store: Store, new_epoch: bool = False) -> Preview:
    """What a run would do and cost, said to people."""
    log = get_run_logger()
    found = look_ahead(study, partition, data, store, log.info, _pool(study, store), new_epoch=new_epoch)
    create_markdown_artifact(
        page(found),
        key=f"preview-{study.name}",
        description="What a run of this study would do and cost, before anything is spent.",
    )
    if found.problems:
        rows = problems_table(found)
        create_table_artifact(
            rows,
            key=f"problems-{study.name}",
            description=f"{len(rows)} of {len(found.problems)} remarks on the data."
            if len(rows) < len(found.problems)
            else "Every remark on the data.",
        )
    lines = answers(found)
    width = max(len(what) for what, _ in lines)
    log.info("a run would do this:\n\n%s\n", "\n".join(f"{what:>{width}}  {answer}" for what, answer in lines))
    return found


def _pool(study: Study, store: Store) -> tuple[str, int] | None:
    """The work pool that would do the work. Raises WorkPoolError if it is not there: the run would end with the same."""
    if study.execution.mode != "work_pool":
        return None
    check_work_pool(study)
    with open_pool(SHARDS, study, store, get_run_logger().info) as pool:
        return pool.name, pool.places
