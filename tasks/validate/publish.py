"""The proof as people see it: a page in the store and in the Prefect UI."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.prefect_api import show
from infra.store import Store
from tasks.validate.page import html, page
from tasks.validate.storage import store_validation
from tasks.validate.types import Validation


@task(task_run_name="publish-validation-{found.study}", cache_policy=NO_CACHE, persist_result=False)
def publish_validation(found: Validation, store: Store, still_ours: Callable[[], None]) -> str:
    """Write the page and what it was drawn from, and show it in the UI. Returns where it is."""
    shown = page(found)
    still_ours()
    files = {"page.md": shown.encode(), "validation.html": html(found).encode()}
    where = store.where(store_validation(found, files, store))
    log = get_run_logger()
    artifact = partial(
        create_markdown_artifact,
        shown,
        key=f"validation-{found.study}",
        description=f"Are these credits right? In full at {where}/validation.html",
    )
    show(artifact, "the validation", log.warning)
    log.info("validation: %s/validation.html", where)
    return where
