"""What must be seen in any report.html, whoever is in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from playwright.sync_api import expect

from tests.browser.watched import Watched

WIDTHS = (1280, 768, 390)  # a laptop, a tablet, a phone


def look_through(watched: Watched, contributors: Sequence[str], properties: Sequence[str]) -> None:
    """The report that is open shows, for each property, a plot and a table with every contributor and its interval; it
    fits every screen; it asked nobody for anything, and nothing went wrong in it.

    contributors: names as they are to be read, shortened and with invisible characters written out.
    """
    page = watched.page
    for title in properties:
        expect(page.get_by_role("heading", name=title, exact=True, level=2)).to_be_visible()
    plots = page.get_by_role("img", name=re.compile("^Excess credit for"))
    expect(plots).to_have_count(len(properties))
    tables = page.get_by_role("table").filter(has=page.get_by_role("columnheader", name="Rank"))
    expect(tables).to_have_count(len(properties))
    for plot, table in zip(plots.all(), tables.all(), strict=True):
        box = plot.bounding_box()
        assert box and box["width"] > 300 and box["height"] > 80, f"a plot is drawn as {box}"
        assert plot.locator("path").count() > len(contributors), "a plot without dots and lines"
        drawn = plot.text_content() or ""
        words = table.inner_text()
        for name in contributors:
            assert name in words, f"{name} is not in a table"
            assert name[:10] in drawn, f"{name} is not in a plot"
        intervals = re.findall(r"[+−]?\d[\d.,]*\s+to\s+[+−]?\d", words)
        assert len(intervals) >= 2 * len(contributors), "a credit or an excess without its interval"
    for image in page.locator("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth") > 0, "a picture is not drawn"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        spare = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert spare <= 0, f"at {width} pixels the report is {spare} pixels too wide"
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    assert watched.asked == [page.url], "the report asked for something"
    assert (watched.outside, watched.errors, watched.dialogs) == ([], [], []), "something went wrong in the report"
    assert page.evaluate("document.scripts.length") == 0 and not page.locator("[onerror], img[src='x']").count()
