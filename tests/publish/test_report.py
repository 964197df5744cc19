"""The report: complete, self-contained, safe against hostile names, the same bytes for the same data."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.publish import report_html
from tasks.publish.plots import credits_plot, sample_grid, shown
from tests.publish.building import HOSTILE, NAMES, build

VOID = {"meta", "img", "br", "link", "input", "hr", "use", "path"}


class Page(HTMLParser):
    """Collects what a browser would act on, and checks that elements close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def page() -> str:
    return report_html(build()).decode()


def test_report_fetches_nothing_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    assert not parsed.open, "an element was left open"
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in parsed.addresses)
    assert not parsed.tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not parsed.handlers and "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_ids_are_unique_and_every_inner_link_has_its_target(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {a[1:] for a in parsed.addresses if a.startswith("#")} <= set(parsed.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(parsed.ids)


def test_report_holds_every_section_in_order(page: str) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert titles == [
        "heldout loss", "frechet lite", "colourfulness", "How to read these figures", "Signal and noise", "The model",
        "What it cost", "Failed evaluations", "Data problems", "What the numbers mean and do not mean", "Provenance",
    ]  # fmt: skip
    words = Page(page).text
    for contributor in NAMES:
        assert words.count(contributor) >= 6, "in each plot and each table"
    assert "OpenMoji" in words and "3f3f3f" in words and "pruned and recovered" in words
    assert "conditional on this epoch and seed" in words


def test_a_propertys_description_ends_before_its_unit_and_no_unit_is_no_gap() -> None:
    data = build()
    first = replace(data.results[0], description="Loss on held-out images; less is better")
    second = replace(data.results[1], unit="")
    words = Page(report_html(replace(data, results=(first, second))).decode()).text
    assert "less is better. Measured in nats; lower is better, so" in words
    assert "held-out images. Lower is better, so" in words and "Measured in ;" not in words


def test_same_data_give_the_same_bytes() -> None:
    assert report_html(build()) == report_html(build())


def test_hostile_names_neither_act_nor_disappear() -> None:
    page = report_html(build(HOSTILE)).decode()
    assert "<script" not in page.lower()
    assert "\u202e" not in page and "\u202c" not in page
    parsed = Page(page)
    assert not parsed.open and not parsed.handlers
    assert "<script>alert('x')</script>" in parsed.text and "right⟨U+202E⟩to⟨U+202C⟩left" in parsed.text
    assert all(address.startswith(("#", "data:image/png")) for address in parsed.addresses)


def test_hostile_words_in_problems_units_and_attribution_are_escaped() -> None:
    data = build(attribution="<script>a</script>", run="<script>b</script>", manifest={"<script>k": "<script>v"})
    result = replace(data.results[0], unit="<b>$u$</b>", description="<script>d</script>", name="<i>x:y</i>")
    data = replace(data, results=(result,), evaluations=data.evaluations.assign(failure="<script>f</script>"))
    page = report_html(data).decode()
    assert "<script" not in page and "<b>$u$</b>" not in page and "scan<b>" not in page
    assert "&lt;script&gt;f&lt;/script&gt;" in page


def test_missing_shares_show_the_reason_and_no_column(page: str) -> None:
    section = page[page.index('<h2 id="property-3"') : page.index('<h2 id="reading"')]
    assert "There are no shares for colourfulness" in section and ">Share</th>" not in section
    assert ">Share</th>" in page[: page.index('<h2 id="property-3"')]


def test_failed_evaluations_are_listed_with_their_reason(page: str) -> None:
    section = page[page.index('<h2 id="failed"') : page.index('<h2 id="problems"')]
    assert section.count("killed by signal 9 &lt;out of memory&gt;") == 2
    assert "2 evaluations failed" in section
    whole = report_html(build(failed=0)).decode()
    assert "<p>None.</p>" in whole[whole.index('<h2 id="failed"') :]


def test_data_problems_are_grouped_with_counts_and_long_lists_are_folded(page: str) -> None:
    section = page[page.index('<h2 id="problems"') : page.index('<h2 id="meaning"')]
    assert re.search(r"<details>\s*<summary><b>duplicate across</b>, kept <span class=\"count\">\(37\)", section)
    assert re.search(r"<details open>\s*<summary><b>unreadable</b>, left out", section)
    assert "twin-036.png" in section and "stands for 3" in section and "Nobody has no training image left." in section


def test_three_hundred_contributors_render_soon_and_the_table_holds_all() -> None:
    data = build(tuple(f"Contributor {i:03d}" for i in range(300)), evaluations=900)
    start = time.perf_counter()
    page = report_html(data).decode()
    assert time.perf_counter() - start < 20
    assert page.count('<td role="cell" class="name">') == 3 * 300
    assert "260 more in the table" in page
    for result in data.results:
        plot = credits_plot(data, result, prefix="p")
        assert len(plot) < 60_000 and plot.count("Contributor ") == 41, "40 rows, and the first in the description"


def test_samples_keep_their_pixels_when_enlarged() -> None:
    from io import BytesIO

    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    content = sample_grid(images)
    assert content is not None
    grid = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    assert np.array_equal(grid[:48:3, :48:3], images[0])
    assert sample_grid(images[:0]) is None
    with pytest.raises(ValueError, match="uint8"):
        sample_grid(images.astype(np.float32))


def test_a_statement_without_samples_pruning_or_costs_still_renders() -> None:
    nothing = np.zeros((0, 16, 16, 3), dtype=np.uint8)
    page = report_html(build(reference_samples=nothing, pruning=[], costs={}, manifest={}, attribution="")).decode()
    assert not Page(page).open and "<footer" not in page and "<img" not in page


def test_rows_left_out_of_a_plot_lie_between_the_best_and_the_worst() -> None:
    rows, left_out = shown(np.arange(300))
    assert left_out == 260 and list(rows[:30]) == list(range(30)) and list(rows[30:]) == list(range(290, 300))
    rows, left_out = shown(np.arange(41))
    assert left_out == 0 and len(rows) == 41
