"""Earlier statements, as Prefect tasks."""

from __future__ import annotations

from datetime import datetime

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.provenance import now
from infra.store import Store
from tasks.partition import Partition
from tasks.publish.history_page import FILE, history_html, history_markdown
from tasks.statements.history import History, history_of
from tasks.statements.people import compare_people
from tasks.statements.read import PastStatement, all_statements, latest_statement, studies_with_statements
from tasks.study import Study


@task(task_run_name="last-statement-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def last_statement(study: Study, partition: Partition, store: Store) -> PastStatement | None:
    """The study's newest statement, with who came and went since in the log. Read before anything is spent: one that is
    damaged should not end a run of hours at its last step.

    Raises:
        StoreError: if it cannot be read; names the file.
    """
    before = latest_statement(store, study.name)
    log = get_run_logger()
    if before is None:
        log.info("there is no statement of this study yet")
    else:
        people = compare_people(before, partition)
        log.info("since the statement of %s: %s", f"{before.created:%Y-%m-%d %H:%M %Z}", people.sentence())
        present = now()
        if datetime.fromisoformat(present) < before.created:
            log.warning(
                "the clock of this machine (%s) is behind the study's last statement (%s): one of the two is wrong, see to "
                "the clock. This statement will be dated a second after that one, so that they keep their order",
                present,
                before.created.isoformat(timespec="seconds"),
            )
    return before


@task(task_run_name="statements-of-{study}", cache_policy=NO_CACHE, persist_result=False)
def read_history(study: str, store: Store) -> History:
    """Every statement of a study, one beside the other.

    Raises:
        ValueError: if it has none; names the studies that have.
        StoreError: if one of them cannot be read; names the file.
    """
    there = studies_with_statements(store)
    if study not in there:
        raise ValueError(
            f"there is no statement of {study!r} in {store.url}; there are statements of: {', '.join(there) or 'no study'}"
        )
    found = history_of(study, all_statements(store, study))
    get_run_logger().info("%d statements, %d properties", len(found.statements), len(found.properties))
    return found


@task(task_run_name="publish-history-{history.study}", cache_policy=NO_CACHE, persist_result=False)
def publish_history(history: History, store: Store) -> str:
    """Write the page, and show its short form in the UI. Returns where the page is."""
    key = f"studies/{history.study}/{FILE}"
    store.write(key, history_html(history))  # made from statements: it may be replaced, they never are
    where = store.where(key)
    create_markdown_artifact(
        history_markdown(history),
        key=f"history-{history.study}",
        description=f"Everybody's credits over time, in full at {where}",
    )
    get_run_logger().info("history: %s", where)
    return where
