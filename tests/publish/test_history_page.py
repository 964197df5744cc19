"""The history's page and its short form: complete, small enough, safe against hostile names."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.store import Store
from tasks.publish.artifacts import LIMIT
from tasks.publish.history_page import history_html, history_markdown
from tasks.publish.plot_history import history_plot
from tasks.statements.history import History, history_of
from tasks.statements.read import all_statements
from tests.publish.building import HOSTILE, NAMES
from tests.publish.test_report import Page
from tests.statements.published import publish, statement

fresh = itertools.count()


def history(names: tuple[str, ...] = NAMES, statements: int = 4, unit: str = "points") -> History:
    """Statements a month apart, read back from a store; the second contributor changes name, the sixth is away once, and the
    last property was first measured in another unit."""
    store = Store(f"memory://history-{next(fresh)}")
    for month in range(statements):
        who = [(name, "0123456789abcdef"[i % 16]) for i, name in enumerate(names)]
        if month:
            who[1] = (f"New {names[1]}", who[1][1])
        if month == 1:
            del who[5]
        created = (datetime(2025, 1, 3, 8, tzinfo=UTC) + timedelta(days=30 * month)).isoformat()
        data = statement(*who, created=created, run=f"run-{month}", epoch=1 + (month >= 2), seed=month)
        results = [*data.results[:2], replace(data.results[2], unit=unit if month else "old")]
        publish(replace(data, results=tuple(results)), store)
    return history_of("art", all_statements(store, "art"))


@pytest.fixture(scope="module")
def page() -> str:
    return history_html(history()).decode()


def test_page_fetches_nothing_runs_nothing_and_is_whole(page: str) -> None:
    parsed = Page(page)
    assert not parsed.open and not parsed.handlers and not parsed.tags & {"script", "link", "iframe", "object", "form"}
    assert all(address.startswith("#") for address in parsed.addresses) and "default-src 'none'" in page
    assert len(parsed.ids) == len(set(parsed.ids)) and not re.search(r"url\((?!#)", page)
    assert {a[1:] for a in parsed.addresses} | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(parsed.ids)


def test_page_shows_everybody_in_every_statement_with_names_epochs_and_breaks(page: str) -> None:
    words = Page(page).text
    assert page.count("<svg") == 3 and page.count('<td class="name">') == 3 * len(NAMES)
    assert f"New {NAMES[1]} formerly {NAMES[1]}" in words
    assert "epoch 2 on 17 February 2025" in words
    assert "1 left (Johanna Wellnitz), 1 changed only the name" in words
    assert words.count("not comparable because its unit was 'old' and is 'points'") == 1
    assert re.search(r"[+−]0\.\d+ to [+−]0\.\d+", words)


def test_plots_have_a_panel_each_a_dot_each_and_an_epochs_line(page: str) -> None:
    svg = page[page.index("<svg") : page.index("</svg>")]
    for name in NAMES[2:5]:
        assert name in svg
    assert svg.count("<use") >= 4 * len(NAMES) - 1 and svg.count(">epoch 2<") == len(NAMES)
    assert 'role="img"' in svg and "over 4 statements" in svg


def test_same_statements_give_the_same_bytes() -> None:
    whole = history()
    assert history_html(whole) == history_html(whole) and history_markdown(whole) == history_markdown(whole)


def test_one_statement_is_a_history_too() -> None:
    whole = history(statements=1)
    assert not Page(history_html(whole).decode()).open and "1 statement," in history_markdown(whole)


def test_markdown_shows_pictures_newest_figures_and_who_came_and_went() -> None:
    markdown = history_markdown(history())
    assert markdown.count("](data:image/svg+xml;base64,") == 3 and len(markdown.encode()) < LIMIT
    assert "| contributor | 3 April 2025 | 4 March 2025 | 2 February 2025 |" in markdown
    assert "## Statements" in markdown and "New Amira Benali" in markdown


@pytest.mark.parametrize(
    ("names", "statements"),
    [(NAMES, 40), (tuple(f"Contributor {i:03d}" for i in range(300)), 5), (HOSTILE, 25)],
    ids=["long", "many", "hostile"],
)
def test_markdown_stays_small_and_shows_at_least_a_part_of_each_plot(names: tuple[str, ...], statements: int) -> None:
    whole = history(names, statements)
    markdown = history_markdown(whole)
    assert len(markdown.encode()) < LIMIT and markdown.count("](data:image/svg+xml") == 3


def test_a_picture_holds_the_largest_twelve_and_the_page_says_so() -> None:
    whole = history(tuple(f"Contributor {i:03d}" for i in range(40)), 3)
    plot = history_plot(whole, whole.properties[0], prefix="p")
    assert len(set(re.findall(r">(?:New )?Contributor (\d+)<", plot))) == 12
    page = history_html(whole).decode()
    assert "The 12 contributors with the largest credit in the newest statement are drawn, of 40 in all." in page
    assert page.count('<td class="name">') == 3 * 40


def test_hostile_names_neither_act_nor_disappear() -> None:
    whole = history(HOSTILE, unit="<i>points</i>")
    page = history_html(whole).decode()
    assert "<script" not in page.lower() and "\u202e" not in page and "<i>points" not in page
    parsed = Page(page)
    assert not parsed.open and not parsed.handlers and "right⟨U+202E⟩to⟨U+202C⟩left" in parsed.text
    words = re.sub(r"base64,[^)]*", "", history_markdown(whole))
    assert "<" not in words and "\u202e" not in words and "](http" not in words
