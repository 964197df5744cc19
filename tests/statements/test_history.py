"""Everybody is followed through all statements, whatever they are called, and only like is put beside like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from tasks.statements.history import History, Line, history_of
from tasks.statements.read import PastContributor, PastProperty, PastStatement
from tests.statements.published import Who

START = datetime(2026, 1, 1, tzinfo=UTC)


def past(month: int, figures: dict[Who, float], **changes: Any) -> PastStatement:
    """A statement of some month with these excess credits for warmth, intervals of ± 0.5."""
    contributors = tuple(PastContributor(name, letter * 64, 10.0, ()) for name, letter in figures)
    excess = pd.Series(list(figures.values()), dtype=float)
    fields: dict[str, Any] = {
        "run": f"run-{month}",
        "created": START + timedelta(days=30 * month),
        "epoch": 1,
        "contributors": contributors,
        "credits": pd.DataFrame(
            {"warmth_excess": excess, "warmth_excess_low": excess - 0.5, "warmth_excess_high": excess + 0.5}
        ),
        "properties": (PastProperty("warmth", 1, "points", "default"),),
        "study": {},
        "evaluations": {},
        "where": f"studies/art/run-{month}",
    }
    return PastStatement(**(fields | changes))


def lines(history: History) -> dict[str, Line]:
    (warmth,) = history.properties
    return {line.name: line for line in warmth.lines}


A, B, C = (("A", "a"), ("B", "b"), ("C", "c"))


def test_each_contributor_has_one_line_through_leaving_and_coming_back() -> None:
    history = history_of("art", [past(0, {A: 1, B: -1}), past(1, {A: 0}), past(2, {A: 2, B: -3, C: 1})])
    found = lines(history)
    assert {name: sorted(line.points) for name, line in found.items()} == {"A": [0, 1, 2], "B": [0, 2], "C": [2]}
    assert found["B"].points[2] == (-3.0, -3.5, -2.5)
    assert list(found) == ["A", "C", "B"], "the largest in the newest statement first"
    assert [None if s.since is None else s.since.sentence() for s in history.statements] == [
        None, "1 left (B)", "2 joined (B, C)"
    ]  # fmt: skip


def test_a_new_name_goes_on_with_the_old_ones_line_and_an_old_name_may_be_somebody_elses() -> None:
    history = history_of(
        "art",
        [past(0, {A: 1, B: -1}), past(1, {("Anna", "a"): 2, B: -2}), past(2, {("Anna", "a"): 3, B: 0, ("A", "f"): -3})],
    )
    found = lines(history)
    assert found["Anna"].formerly == ("A",) and sorted(found["Anna"].points) == [0, 1, 2]
    assert sorted(found["A"].points) == [2] and found["A"].formerly == ()


def test_who_is_gone_stands_last() -> None:
    history = history_of("art", [past(0, {A: 9, B: -1, C: 0}), past(1, {B: -1, C: 1})])
    assert list(lines(history)) == ["C", "B", "A"]


def test_a_picture_begins_after_the_property_was_last_measured_otherwise() -> None:
    other = (PastProperty("warmth", 1, "degrees", "default"),)
    statements = [
        past(0, {A: 1, B: -1}),
        past(1, {A: 1, B: -1}, properties=other),
        past(2, {A: 1, B: -1}),
        past(3, {A: 1, B: -1}),
    ]
    (warmth,) = history_of("art", statements).properties
    assert (warmth.first, warmth.last) == (2, 3)
    assert warmth.why == "its unit was 'degrees' and is 'points'"
    assert sorted(warmth.lines[0].points) == [0, 1, 2, 3], "the figures stay, for the table"
    (warmth,) = history_of(
        "art", [past(0, {A: 1, B: -1}, study={"sampling": {"steps": 3}}), past(1, {A: 1, B: -1})]
    ).properties
    assert warmth.first == 1 and warmth.why is not None and "sampling.steps was 3 and is 20" in warmth.why


def test_a_property_that_was_given_up_keeps_its_history() -> None:
    history = history_of("art", [past(0, {A: 1, B: -1}), past(1, {A: 1, B: -1}, properties=())])
    (warmth,) = history.properties
    assert (warmth.first, warmth.last, warmth.why) == (0, 0, None)


def test_epochs_are_bounded_where_they_opened_or_half_way_if_that_is_not_known() -> None:
    opened = START + timedelta(days=29)
    statements = [
        past(0, {A: 1}, epoch=None),
        past(1, {A: 1}, opened=opened),
        past(2, {A: 1}, epoch=2),
        past(3, {A: 1}, epoch=2),
    ]
    boundaries = history_of("art", statements).boundaries
    assert [(b.epoch, b.at) for b in boundaries] == [(1, opened), (2, START + timedelta(days=45))]


def test_no_statements_are_no_history() -> None:
    with pytest.raises(ValueError, match="'art' has no statements"):
        history_of("art", [])
