"""What a statement says of the last one, of its epoch and of what it reused: for people, for Prefect, for machines."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from tasks.publish import StatementData, artifact_markdown, report_html, statement_files
from tasks.publish.artifacts import LIMIT
from tasks.publish.plot_since import since_plot
from tasks.publish.since import epoch_sentences, savings
from tasks.statements.types import EpochStanding
from tests.publish.building import HOSTILE, NAMES, build
from tests.publish.test_report import Page
from tests.statements.published import compared, statement

LETTERS = "0123456789abcdef"
EPOCH = EpochStanding(
    2, "2025-11-01T10:00:00+00:00", "it was asked for", 0.123, {"Zoë": 0.0, "<b>Ann</b>\u202e": 0.31}, 0.071
)


def second(names: tuple[str, ...] = NAMES) -> StatementData:
    """A second statement: one joined, one left, one changed images, one their name; one moved up, one moved down; the last
    property is in another unit than before."""
    then = [(name, LETTERS[i % 16]) for i, name in enumerate(names)]
    now = list(then)
    now[2] = (f"New {names[2]}", now[2][1])
    now[4] = (names[4], "f")
    now[7] = ("Zoë", "e")
    before = statement(*then, created="2025-10-03T08:00:00+00:00", run="first-run", epoch=1)
    later = statement(*now, created="2025-11-23T16:20:00+00:00", run="second-run", epoch=2)
    results = []
    for result in later.results:
        values = result.credits.values.copy()
        values[1] += 1.2 * result.spread
        values[3] -= 1.2 * result.spread
        results.append(replace(result, credits=replace(result.credits, values=values)))
    results[2] = replace(results[2], unit="<i>degrees</i>")
    return compared(before, replace(later, results=tuple(results)), EPOCH)


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(second()).decode()


def section(page: str, name: str) -> str:
    return page[page.index(f'<section aria-labelledby="{name}"') :].split("</section>")[0]


def test_report_shows_who_came_and_went_and_whose_credit_moved(page: str) -> None:
    parsed = Page(page)
    assert not parsed.open and len(parsed.ids) == len(set(parsed.ids))
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)
    part = section(page, "since")
    words = Page(f"<section>{part.split('>', 1)[1]}</section>").text
    assert "What changed since 3 October 2025" in words and "run first-run of 3 October 2025, 08:00 UTC" in words
    assert "1 joined (Zoë), 1 left (Mariella Steeb), 1 changed images (Hilda Kalyoncu)" in words
    assert words.count("2 moved, 1 new, 1 gone, 7 within noise.") == 2
    assert part.count("<svg") == 2 and part.count('<td role="cell" class="name">') == 22
    assert "formerly Carlin MacKenzie" in words and "images changed" in words
    assert "9 contributors who are in both statements" in words
    up = re.search(r"Amira Benali(.*?)</tr>", part[part.index("<tbody") :], re.S)
    assert up and "moved up" in up[1] and "above-ink" in up[1] and "±" in up[1]


def test_what_cannot_be_compared_says_why_and_gives_no_verdict(page: str) -> None:
    part = section(page, "since")
    last = part[part.index("<h3>colourfulness") :]
    assert "Not comparable because its unit was &#39;points&#39; and is &#39;&lt;i&gt;degrees" in last
    assert "<table" not in last and "<svg" not in last


def test_report_says_which_epoch_it_stands_on_and_what_that_costs(page: str) -> None:
    told = section(page, "epoch")
    assert "epoch 2, opened 1 November 2025, 10:00 UTC" in told and "it was asked for." in told
    assert "Zoë (it saw 0\u00a0%)" in told and "&lt;b&gt;Ann&lt;/b&gt;⟨U+202E⟩ (it saw 31\u00a0%)" in told
    assert "too low by as much as fine-tuning cannot catch up" in told and "7.1\u00a0% of the epoch" in told


def test_an_epoch_of_todays_images_costs_nothing_and_an_unknown_one_is_not_spoken_of() -> None:
    today = EpochStanding(1, "2025-11-01T10:00:00+00:00", "it is the first of this study", 0.0, {}, 0.0)
    told = epoch_sentences(build(epoch=today))
    assert len(told) == 2 and "today's" in told[1]
    assert epoch_sentences(build()) == [] == epoch_sentences(build(epoch=replace(today, number=0)))
    assert 'id="epoch"' not in report_html(build()).decode()


def test_a_first_statement_speaks_of_no_last_one() -> None:
    data = build()
    assert 'id="since"' not in report_html(data).decode()
    assert "What changed since" not in artifact_markdown(data)
    assert json.loads(statement_files(data)["manifest.json"])["since"] is None


def test_markdown_counts_and_names_the_movers_within_its_limit() -> None:
    page = artifact_markdown(second())
    part = page[page.index("## What changed since 3 October 2025") :].split("\n## ")[0]
    assert re.search(r"^- Amira Benali: −0\.\d+ then, [+−]0\.\d+ now; difference \+0\.\d+, judged by ± 0", part, re.M)
    assert part.count("\n- ") == 4 and "Not comparable because" in part
    assert "it was asked for" in page and "stands on epoch 2" in page
    many = second(tuple(f"Contributor {i:03d}" for i in range(300)))
    assert len(artifact_markdown(many).encode()) < LIMIT


def test_manifest_says_what_became_of_whom() -> None:
    since = json.loads(statement_files(second())["manifest.json"])["since"]
    assert (since["run"], since["created"], since["epoch"]) == ("first-run", "2025-10-03T08:00:00+00:00", 1)
    assert since["people"] == {
        "joined": ["Zoë"],
        "left": ["Mariella Steeb"],
        "changed": ["Hilda Kalyoncu"],
        "renamed": [["Carlin MacKenzie", "New Carlin MacKenzie"]],
    }
    statuses = since["statuses"]["heldout_loss"]
    assert (statuses["Amira Benali"], statuses["Zoë"], statuses["Mariella Steeb"]) == ("moved", "new", "gone")
    assert list(since["not_comparable"]) == ["colourfulness"] and "colourfulness" not in since["statuses"]


def test_hostile_names_neither_act_nor_disappear() -> None:
    data = second(HOSTILE)
    page = report_html(data).decode()
    assert "<script" not in page.lower() and "\u202e" not in page and "<b>Ann" not in page and "<i>degrees" not in page
    parsed = Page(page)
    assert not parsed.open and not parsed.handlers
    assert "formerly +1 & more" in parsed.text and "right⟨U+202E⟩to⟨U+202C⟩left" in parsed.text
    words = re.sub(r"base64,[^)]*", "", artifact_markdown(data))
    assert "<" not in words and "\u202e" not in words and "](http" not in words


def test_three_hundred_contributors_are_all_in_the_table_and_the_picture_stays_small() -> None:
    data = second(tuple(f"Contributor {i:03d}" for i in range(300)))
    assert data.since is not None
    part = section(report_html(data).decode(), "since")
    assert part.count('<td role="cell" class="name">') == 2 * 301 and "The first 40 of 301 are drawn" in part
    assert len(since_plot(data.since.properties[0], prefix="p")) < 120_000


def test_same_data_give_the_same_bytes() -> None:
    assert report_html(second()) == report_html(second())


def test_savings_are_the_seconds_of_what_was_not_made_again() -> None:
    data = build(failed=0, evaluations=20)
    frame = data.evaluations
    for part in ("load", "sample", "score"):
        frame[f"{part}_seconds"] = 0.0
    frame["fine_tune_seconds"] = [60.0] * 12 + [1.0] * 8
    (told,) = savings(data)
    assert told.startswith("12 of the evaluations that the design asked for were in the ledger already.")
    assert "saved about 12 min 00 s of one worker" in told and "The 8 new ones took 8.0 s" in told
    extra = frame.iloc[:3].assign(role="archive", fine_tune_seconds=100.0)
    (told,) = savings(replace(data, evaluations=pd.concat([frame, extra], ignore_index=True)))
    assert "and 3 others that earlier runs had made were used too" in told and "17 min 00 s" in told
    assert savings(replace(data, evaluations=frame.assign(cached=False))) == []
    assert told.split(".")[0] in report_html(replace(data, evaluations=pd.concat([frame, extra]))).decode()
