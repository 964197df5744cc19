"""From the form to the report, as a person goes: fill in, submit, watch, open the artifacts, open report.html."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import HOSTILE, RENAMED
from tests.browser.pictures import keep
from tests.browser.prefect_pages import SLOW, Form, Run, open_artifact
from tests.browser.report_page import look_through
from tests.browser.serving import Served
from tests.browser.watched import Watched
from tests.small import DESIGNERS

pytestmark = pytest.mark.browser
NAME = "from-the-form"
CONTRIBUTORS = tuple(HOSTILE if name == RENAMED else name for name in DESIGNERS)
PROPERTIES = ("heldout loss", "frechet lite", "cluster entropy", "colourfulness")
EVALUATIONS = 16 + 3  # the preset's: all coalitions, and three repeated


@pytest.mark.timeout(600)
def test_attribute_from_the_form_to_the_report(watched_page: Callable[[str], Watched], prefect_ui: Served) -> None:
    prefects = watched_page("prefect")
    page = prefects.page
    form = Form(page, prefect_ui.url, "attribute/openmoji-tiny")
    form.field("name").fill(NAME)
    form.items("data.only").nth(DESIGNERS.index(RENAMED)).fill(HOSTILE)
    form.choose("execution.mode", "processes")
    form.field("execution.workers").fill("1")  # slow enough to be watched
    form.submit()
    run = Run(page)
    _watch(run)
    report = Path(_artifacts(page, prefect_ui.url))
    assert not prefects.dialogs, "a script in a contributor's name ran"

    assert report.is_relative_to(prefect_ui.store)
    ours = watched_page("report")
    ours.page.goto(report.as_uri())
    look_through(ours, CONTRIBUTORS, PROPERTIES)
    keep(ours.page.screenshot(), "report")


def _watch(run: Run) -> None:
    """Progress can be followed while it runs, in the log and as an artifact; then the run is complete."""
    page = run.page
    expect(page.get_by_text(f"attribute-{NAME}").first).to_be_visible(timeout=90_000)
    expect(run.state("Running")).to_be_visible(timeout=SLOW)
    run.tab("Logs")
    run.newest_first()
    some = page.get_by_text(re.compile(rf"\b\d+ of {EVALUATIONS} evaluations done"))
    expect(some.first).to_be_visible(timeout=240_000)
    expect(run.state("Running")).to_be_visible()
    keep(page.screenshot(), "run")
    run.tab("Artifacts")
    expect(page.get_by_text(f"evaluations-{NAME}").first).to_be_visible()
    expect(run.state("Completed")).to_be_visible(timeout=240_000)
    page.reload()  # the list of artifacts does not grow by itself


def _artifacts(page: Page, url: str) -> str:
    """The run's artifacts: progress at its end, a table and a page with the plots drawn. Returns where the report is."""
    for key in (f"evaluations-{NAME}", f"credits-{NAME}-heldout-loss", f"statement-{NAME}"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible(timeout=SLOW)
    open_artifact(page, url, f"evaluations-{NAME}")
    expect(page.get_by_text("100%").first).to_be_visible()

    open_artifact(page, url, f"credits-{NAME}-heldout-loss")
    rows = page.get_by_role("row")
    expect(rows).to_have_count(1 + len(CONTRIBUTORS))
    for contributor in CONTRIBUTORS:
        expect(page.get_by_role("cell", name=contributor, exact=True)).to_be_visible()

    open_artifact(page, url, f"statement-{NAME}")
    expect(page.get_by_role("heading", name=f"Credit statement: {NAME}")).to_be_visible()
    plots = page.get_by_role("img", name=re.compile("Excess credits"))
    expect(plots).to_have_count(len(PROPERTIES))
    for plot in plots.all():
        assert plot.evaluate("image => image.complete && image.naturalWidth") > 300
    expect(page.get_by_role("cell", name=HOSTILE, exact=True)).to_have_count(len(PROPERTIES))
    assert not page.locator("img[src='x'], [onerror]").count(), "a contributor's name became markup"
    keep(page.screenshot(), "artifacts")
    where = page.get_by_text("The statement, in full at").inner_text()
    return where.partition("in full at ")[2].strip()
