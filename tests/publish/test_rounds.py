"""Rounds and reuse in words: for logs, the Prefect UI and the report."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tasks.plan.rounds import Ending, Round, Standing
from tasks.publish import StatementData, artifact_markdown, notes, report_html
from tasks.publish.rounds import rounds_table, rule, say_round, story
from tasks.shapley.stopping import Progress
from tasks.study import Study
from tests.publish.building import build


def progress(enough: bool, measure: float = 0.03) -> Progress:
    return Progress(enough, measure, 0.02, f"the widest 90 % interval is {measure:g} wide; at most 0.02 is wanted")


def a_round(number: int, *enough: bool, more: int | None = 34, **changes: Any) -> Round:
    standings = tuple(
        Standing(f"p{i}", "nats", 0.03, 1.5, progress(done), 0 if done else more) for i, done in enumerate(enough)
    )
    fields: dict[str, Any] = {
        "draws": 24 * number,
        "evaluated": 20,
        "reused": 7,
        "seconds": 6.0,
        "standings": standings,
    }
    return Round(number, **(fields | changes))


def with_rounds(ending: Ending, **changes: Any) -> StatementData:
    return build(rounds=(a_round(1, False), a_round(2, True)), ending=ending, **changes)


def test_a_round_is_said_with_what_is_still_needed_and_for_how_long() -> None:
    lines = say_round(a_round(2, False, True), 0.9)
    assert lines[0] == "round 2: 48 evaluations asked for so far, 20 new in this round, 7 reused"
    assert lines[1].endswith("at most 0.02 is wanted; about 34 more evaluations, 3 min 24 s of one worker")
    assert len(lines) == 3 and "more evaluations" not in lines[2]


def test_the_property_that_takes_longest_is_named_where_several_wait() -> None:
    this = a_round(1, False, False)
    slow = Standing("slow", "nats", 0.5, 1.5, progress(False, 0.5), None)
    assert say_round(Round(1, 24, 20, 0, None, (*this.standings, slow)), 0.9)[-1] == "slow will take longest"
    assert "cannot be foreseen" in say_round(Round(1, 24, 20, 0, None, (slow,)), 0.9)[1]


def test_without_a_rule_the_width_is_said_in_the_unit_and_as_a_part_of_the_whole() -> None:
    plain = Round(1, 24, 20, 0, 6.0, (Standing("p", "nats", 0.03, 1.5),))
    assert say_round(plain, 0.95)[1] == "p: widest 95 % interval 0.0300 nats, 2 % of v(N) − v(∅)"
    nothing = Round(1, 24, 20, 0, 6.0, (Standing("p", "nats", math.inf, 0.0),))
    assert say_round(nothing, 0.9)[1] == "p: widest 90 % interval not known"


def test_the_table_has_a_row_a_round_that_prefect_can_keep() -> None:
    rows = rounds_table((a_round(1, False), a_round(2, True)), 0.9)
    json.dumps(rows, allow_nan=False)
    assert [row["round"] for row in rows] == [1, 2] and rows[0].keys() == rows[1].keys()
    assert rows[0]["p0: goal"].startswith("not yet; about 34 more") and rows[1]["p0: goal"] == "reached"


@pytest.mark.parametrize(
    ("estimation", "words"),
    [
        ({"stop_width": 0.5, "stop_level": 0.95}, "every 95 % interval of an excess credit at most 0.5 wide"),
        ({"stop_relative_width": 0.05}, "at most 5 % of v(N) − v(∅) wide"),
        ({"stop_top": 3}, "the 3 contributors with the largest credits settled"),
        ({}, "none"),
    ],
)
def test_the_rule_is_said_as_the_form_has_it(estimation: dict[str, Any], words: str) -> None:
    assert words in rule(Study.model_validate({"estimation": estimation}))


def test_a_goal_that_was_not_reached_is_a_caution_and_one_that_was_is_none() -> None:
    missed = with_rounds(Ending(False, "The budget of 80 evaluations is spent and the stop rule is not satisfied."))
    assert any("stop rule is not satisfied" in note for note in notes(missed))
    reached = with_rounds(Ending(True, "The stop rule is satisfied."))
    assert not any("stop rule" in note for note in notes(reached))


def test_the_report_and_the_page_tell_rounds_reuse_and_who_left() -> None:
    data = with_rounds(Ending(True, "The stop rule is satisfied."), former=("<b>gone</b>",), ignored={"failed": 2})
    results = tuple(
        r if i else type(r)(**{**vars(r), "reused": 31, "reused_with_former": 12}) for i, r in enumerate(data.results)
    )
    data = type(data)(**{**vars(data), "results": results})
    told = " ".join(story(data))
    assert "48 evaluations were asked for in 2 rounds" in told and "31 more evaluations of earlier runs" in told
    assert "12 of them hold images of contributors who have left" in told and "not used: failed" in told
    report, page = report_html(data).decode(), artifact_markdown(data)
    assert "<b>gone" not in report and "&lt;b&gt;gone" in report and "<b>gone" not in page
    assert report.count('<th scope="col" class="n">Round</th>') == 1
    assert "31 more evaluations of earlier runs" in page


def test_a_statement_without_rounds_says_nothing_of_them() -> None:
    assert story(build()) == [] and "How the evaluations were chosen" not in report_html(build()).decode()
