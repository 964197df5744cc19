"""What Prefect's pages and the terminal show."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tasks.publish import StatementData, artifact_markdown, artifact_table, terminal_table, text
from tasks.publish.artifacts import LIMIT
from tests.publish.building import HOSTILE, NAMES, build


@pytest.fixture(scope="module")
def crowd() -> StatementData:
    return build(tuple(f"Contributor {i:03d}" for i in range(300)), evaluations=400)


def test_table_rows_are_json_best_first() -> None:
    data = build()
    for result in data.results:
        rows = artifact_table(result, data)
        json.dumps(rows, allow_nan=False)
        assert len(rows) == len(NAMES) and [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
        assert all(row["from (90 %)"] <= row["excess"] <= row["to (90 %)"] for row in rows)
    assert {row["share"] for row in artifact_table(data.results[2], data)} == {"\u2013"}


def test_table_shows_the_credits_first_because_narrow_pages_hide_the_last_columns() -> None:
    data = build()
    columns = list(artifact_table(data.results[0], data)[0])
    assert columns[:6] == ["rank", "contributor", "excess", "from (90 %)", "to (90 %)", "share"]


def test_markdown_says_the_unit_in_words_and_breaks_no_figure(crowd: StatementData) -> None:
    data = build()
    unitless = replace(data.results[0], unit="")
    page = artifact_markdown(replace(data, results=(unitless, *data.results[1:])))
    assert "(no name)" not in page, "a property without a unit"
    assert "Excess is in points." in page
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert rows and all(" " not in cell.strip() for row in rows for cell in row.split("|")[3:])


def test_markdown_shows_each_plot_before_its_table() -> None:
    page = artifact_markdown(build())
    for section in page.split("\n## ")[1:]:
        assert section.index("](data:image/svg+xml") < section.index("| rank |")


def test_markdown_stays_small_even_with_many_contributors_and_properties(crowd: StatementData) -> None:
    for data in (build(), crowd, build(HOSTILE)):
        page = artifact_markdown(data)
        assert len(page.encode()) < LIMIT
        assert page.count("](data:image/svg+xml;base64,") == 3


def test_markdown_leaves_out_plots_rather_than_outgrow_its_limit(
    crowd: StatementData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.publish.artifacts.LIMIT", 80_000)
    page = artifact_markdown(crowd)
    assert len(page.encode()) < 80_000
    assert "The plot is left out here" in page


def test_markdown_tables_hold_hostile_names_in_one_cell_each() -> None:
    page = artifact_markdown(build(HOSTILE))
    words = re.sub(r"base64,[^)]*", "", page)
    assert "<" not in words and "\u202e" not in words
    rows = [line for line in words.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == 30 and all(line.count("|") == 7 for line in rows)


def test_markdown_says_why_shares_are_missing_and_what_failed() -> None:
    page = artifact_markdown(build())
    assert "There are no shares for colourfulness" in page and "2 of 60 evaluations failed" in page


def test_terminal_columns_line_up_whatever_the_script_of_the_names() -> None:
    table = terminal_table(build())
    assert "\u202f" not in table and "山田 花子" in table
    block = [line for line in table.split("\n\n")[0].splitlines() if re.match(r"\s*\d+  ", line)]
    assert len(block) == len(NAMES)
    assert len({text.columns(line) for line in block}) == 1


def test_terminal_shows_rank_interval_and_remarks(crowd: StatementData) -> None:
    table = terminal_table(build())
    assert re.search(r"^\s+1  Sofie Ascherl\s+132\s+20\.1 %  \+0\.0062  ± 0\.0013  10\.7 %$", table, re.M)
    assert "Note: There are no shares for colourfulness" in table
    assert "(260 more in credits.csv)" in terminal_table(crowd)


def test_terminal_cannot_be_sent_control_characters() -> None:
    table = terminal_table(build(("\x1b[31mred\x07", *NAMES[1:])))
    assert "\x1b" not in table and "\x07" not in table and "⟨U+001B⟩" in table
