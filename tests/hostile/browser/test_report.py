"""report.html of hostile people, properties and files in a browser: everybody is there, and nothing is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.partition import Problem
from tasks.publish import report_html, text
from tests.browser.report_page import look_through
from tests.browser.watched import Watched
from tests.hostile.data import ALLOWED, FILES, PROMPTS
from tests.publish.building import PROPERTIES, build

pytestmark = pytest.mark.browser
ACTIVE = '<script>alert(1)</script><img src=x onerror="alert(2)"><svg onload=alert(3)>\u202e\x1b[31m'
TITLES = tuple(text.title(name) for name, *_ in PROPERTIES)


def test_nothing_of_a_hostile_statement_is_executed_fetched_or_hidden(watched: Watched, tmp_path: Path) -> None:
    data = build(ALLOWED, attribution=ACTIVE)
    problems = tuple(Problem(name, "unreadable", f"{ACTIVE} {name!r}", "left out") for name in (*FILES, *PROMPTS))
    results = tuple(replace(result, unit=ACTIVE[:20], description=ACTIVE) for result in data.results)
    evaluations = data.evaluations.assign(failure=ACTIVE)
    partition = replace(data.partition, problems=problems)
    path = tmp_path / "report.html"
    path.write_bytes(report_html(replace(data, partition=partition, results=results, evaluations=evaluations)))
    watched.page.goto(path.as_uri())
    look_through(watched, [text.plain(name) for name in ALLOWED], TITLES)
    assert not watched.page.locator("script, iframe, object, embed, form, base, link, a[href^='javascript']").count()
