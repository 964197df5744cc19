"""report.html in a browser: whole on every screen, whatever the contributors are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.publish import report_html, text
from tests.browser.report_page import look_through
from tests.browser.watched import Watched
from tests.publish.building import HOSTILE, NAMES, PROPERTIES, build

pytestmark = pytest.mark.browser
TITLES = tuple(text.title(name) for name, *_ in PROPERTIES)


@pytest.mark.parametrize("names", [NAMES, HOSTILE], ids=["people", "hostile"])
def test_report_shows_everybody_and_neither_fetches_nor_runs_anything(
    names: tuple[str, ...], watched: Watched, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(report_html(build(names)))
    watched.page.goto(path.as_uri())
    look_through(watched, [text.plain(name) for name in names], TITLES)


def test_a_watched_page_sees_what_a_report_must_not_do(watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<img src="http://elsewhere.example/x.png"><img src="y.png"><script>alert(1); oops()</script>')
    watched.page.goto(path.as_uri())
    assert watched.outside == ["http://elsewhere.example/x.png"]
    assert (tmp_path / "y.png").as_uri() in watched.asked
    assert watched.dialogs == ["1"] and any("oops" in error for error in watched.errors)


def test_the_reports_own_policy_forbids_scripts_and_fetching_should_a_name_slip_through(
    watched: Watched, tmp_path: Path
) -> None:
    page = report_html(build()).decode()
    slipped = page.replace("</body>", '<img src="http://elsewhere.example/x.png"><script>alert(1)</script></body>')
    assert slipped != page
    path = tmp_path / "report.html"
    path.write_text(slipped, encoding="utf-8")
    watched.page.goto(path.as_uri())
    assert not watched.dialogs and not watched.outside
    assert len(watched.errors) >= 2 and all("Content Security Policy" in error for error in watched.errors)
