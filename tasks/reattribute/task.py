"""Looking for news as a Prefect task: for the log, for the page in the UI, and as a value."""

from __future__ import annotations

from functools import partial

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from infra.prefect_api import briefly, show
from infra.store import Store
from tasks.partition import Partition
from tasks.publish import text
from tasks.reattribute.news import News, look_for_news
from tasks.recipe import Recipe
from tasks.study import Study


@task(task_run_name="news-{study.name}", cache_policy=NO_CACHE, persist_result=False)
def what_is_new(study: Study, partition: Partition, data: Recipe, store: Store, new_epoch: bool) -> News:
    """Who joined, left or changed since the last statement, which epoch goes on, and whether there is anything to do."""
    log = get_run_logger()
    news = look_for_news(study, partition, data, store, new_epoch=new_epoch)
    for sentence in news.sentences:
        log.info("%s", sentence)
    lines = [f"# {text.markdown(study.name)}: what is new", *(_prose(sentence) for sentence in news.sentences)]
    page = partial(
        create_markdown_artifact,
        "\n\n".join(lines) + "\n",
        key=f"news-{study.name}",
        description="Who joined, left or changed since the last statement, and what is done about it.",
    )
    with briefly():  # the run waits
        show(page, "what is new", log.warning)
    return news


def _prose(sentence: str) -> str:
    return text.markdown(sentence, limit=len(sentence) * 12)
