"""Earlier statements, as Prefect tasks."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.store import Store
from tasks.partition import Partition
from tasks.statements.people import compare_people
from tasks.statements.read import PastStatement, latest_statement
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
    return before
