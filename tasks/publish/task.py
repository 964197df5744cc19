"""Step 7 as a Prefect task: the statement in the store, and what people see of it in the Prefect UI."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.prefect_api import show
from infra.store import Store
from tasks.publish import text
from tasks.publish.artifacts import artifact_markdown, artifact_table
from tasks.publish.statement import statement_files
from tasks.publish.storage import store_statement
from tasks.publish.terminal import terminal_table
from tasks.publish.types import StatementData


@task(task_run_name="publish-{data.study.name}", cache_policy=NO_CACHE, persist_result=False)
def publish_statement(data: StatementData, store: Store, still_ours: Callable[[], None]) -> str:
    """Write the statement, show it in the UI, and print the credits. Returns where it is."""
    log = get_run_logger()
    files = statement_files(data)
    folder = store_statement(files, data.study.name, data.run, data.created, store, still_ours=still_ours)
    where = store.where(folder)
    for result in data.results:
        table = partial(
            create_table_artifact,
            artifact_table(result, data),
            key=f"credits-{data.study.name}-{_slug(result.name)}",
            description=text.markdown(f"Credits for {result.name} ({result.unit}); {result.description}", 1000),
        )
        show(table, f"the table of {result.name}", log.warning)
    page = partial(
        create_markdown_artifact,
        artifact_markdown(data),
        key=f"statement-{data.study.name}",
        description=f"The statement, in full at {where}/report.html",
    )
    show(page, "the statement", log.warning)
    log.info("credits:\n\n%s", terminal_table(data))
    log.info("statement: %s/report.html", where)
    return where


def _slug(name: str) -> str:
    """A property's name as a part of an artifact key: lower case letters, digits and dashes."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")
