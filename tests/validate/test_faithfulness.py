"""What is said of faithfulness: what the intervals bear, never more; and every statement says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.publish import artifact_markdown, report_html, statement_files, terminal_table
from tasks.validate.faithfulness import Faithful, Standing, faithful, sentences, standing
from tasks.validate.types import Estimate, Validation
from tests.publish.building import build as statement
from tests.publish.test_report import Page
from tests.validate.made import HOSTILE, METHODS, NOT_MADE, RUN, build, estimate


def changed(found: Validation, **fields: Any) -> Validation:
    """With other fields in its first property's own way, or in the property itself."""
    first = found.properties[0]
    of_way = {name: value for name, value in fields.items() if name in ("pearson", "spearman")}
    ways = tuple(way.model_copy(update=of_way) if way.study else way for way in first.ways)
    rest = {name: value for name, value in fields.items() if name not in of_way}
    return found.model_copy(
        update={"properties": (first.model_copy(update={"ways": ways, **rest}), *found.properties[1:])}
    )


def with_method(found: Validation, which: str, **fields: Any) -> Validation:
    methods = found.properties[0].methods
    return changed(found, methods=tuple(m.model_copy(update=fields) if m.name == which else m for m in methods))


def said(found: Validation | None, name: str = "heldout_loss") -> str:
    return " ".join(sentences(found, name))


def test_the_sentence_names_coalitions_day_epoch_and_figures_with_intervals() -> None:
    assert sentences(build(half=0.1), "heldout_loss")[0] == (
        "How faithful: on 24 coalitions of 4 contributors retrained from scratch (24 November 2026, epoch 1), values "
        "agreed with Pearson 0.81 (0.71 to 0.91) and Spearman 0.78 (0.68 to 0.88); so the study's way of realising "
        "coalitions orders them faithfully for this property."
    )
    assert sentences(build(half=0.1), "heldout_loss")[1] == (
        "Differences between these coalitions come out 0.57 (0.47 to 0.67) times as large as retrained."
    )
    assert "better than chance: LDS 0.55 (0.35 to 0.75); 95 % of random credits lie within 0 ± 0.38." in said(build())


@pytest.mark.parametrize(("found", "what"), [(None, "recipe"), (build(properties=("other",)), "property")])
def test_what_was_not_measured_is_said_and_how_to(found: Validation | None, what: str) -> None:
    assert f"not measured for this {what}. Run `validate`" in said(found)


@pytest.mark.parametrize(
    ("pearson", "verdict", "words"),
    [
        (estimate(0.8, 0.2), "yes", "orders them faithfully for this property"),
        (estimate(0.69, 0.2), "in part", "less closely than one would wish"),
        (estimate(0.9, 0.95), "not shown", "not shown"),
        (estimate(-0.8, 0.2), "no", "turns this property round"),
        (estimate(0.99).model_copy(update={"low": None, "high": None, "reason": "all equal"}), "not measured", "all equal"),
        (NOT_MADE, "not measured", "fewer than 4"),
    ],
)  # fmt: skip
def test_the_verdict_on_values_follows_the_interval(pearson: Estimate, verdict: Faithful, words: str) -> None:
    found = changed(build(), pearson=pearson)
    assert faithful(found.properties[0]) == verdict
    assert words in said(found)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (estimate(0.3, 0.2), "ours"),
        (estimate(0.2, 0.2), "as good"),
        (estimate(0.0, 0.2), "as good"),
        (estimate(-0.1, 0.2), "as good"),
        (estimate(-0.3, 0.2), "better"),
        (None, "not compared"),
        (NOT_MADE, "not compared"),
    ],
)
def test_a_free_method_counts_as_worse_only_with_its_whole_interval(ahead: Estimate | None, expected: Standing) -> None:
    found = with_method(build(), "own score", ahead=ahead)
    (method,) = (m for m in found.properties[0].methods if m.name == "own score")
    assert standing(method) == expected
    told = {line.partition(":")[0] for line in sentences(found, "heldout_loss") if "own score" in line}
    named = {"as good": {"As good as ours, as far as 24 coalitions can tell, and free"},
             "better": {"Better than ours, and free"}}  # fmt: skip
    assert told == named.get(expected, set())


def test_methods_that_train_are_not_called_free() -> None:
    told = said(build(half=2.0))
    assert "pro rata" in told and not any(name in told for name, kind, _ in METHODS if kind in ("trains", "paper"))


@pytest.mark.parametrize(("better", "words"), [(False, "It is not shown that"), (None, "Credits predicted retrained")])
def test_better_than_chance_is_said_only_where_it_was_found(better: bool | None, words: str) -> None:
    told = said(with_method(build(), "this study", better_than_chance=better))
    assert words in told
    assert "Credits predicted retrained models better than chance" not in told


def test_credits_without_a_score_say_why() -> None:
    assert "is not known: there are 2 coalitions, fewer than 4." in said(
        with_method(build(), "this study", lds=NOT_MADE)
    )
    others = tuple(m for m in build().properties[0].methods if m.kind != "ours")
    assert "is not known: those that were scored were of other contributors" in said(changed(build(), methods=others))
    assert "LDS 0.55 (0.35 to 0.75). As good" in said(changed(build(), chance_sd=None))


def test_every_page_of_a_statement_says_it_beside_the_property() -> None:
    found = build(properties=("heldout_loss", "frechet_lite"))
    data = statement(validation=found)
    for page in (Page(report_html(data).decode()).text, terminal_table(data)):
        assert page.count("values agreed with Pearson") == 2
        assert page.count("not measured for this property") == 1, "of colourfulness nothing is known"
        assert "not measured for this recipe" not in page
    markdown = artifact_markdown(data)
    assert markdown.count("values agreed with Pearson") == 2
    first, second = markdown.split("\n## ")[1:3]
    assert "Pearson" in first and "Pearson" in second
    assert json.loads(statement_files(data)["manifest.json"])["validation"] == RUN


def test_a_statement_of_an_unmeasured_recipe_says_so_once() -> None:
    data = statement()
    for page in (Page(report_html(data).decode()).text, terminal_table(data), artifact_markdown(data)):
        assert page.count("not measured for this recipe") == 1
    assert json.loads(statement_files(data)["manifest.json"])["validation"] is None


def test_hostile_names_neither_act_nor_break_a_statement() -> None:
    found = with_method(build(), "pro rata", name=HOSTILE)
    found = changed(found, pearson=NOT_MADE.model_copy(update={"reason": HOSTILE}))
    data = statement(validation=found)
    page = Page(report_html(data).decode())
    assert "script" not in page.tags and "\u202e" not in page.text and "⟨U+202E⟩" in page.text
    markdown = artifact_markdown(data)
    assert "<script" not in markdown and "](http" not in markdown and "\u202e" not in markdown
    assert "\u202e" not in terminal_table(data)
