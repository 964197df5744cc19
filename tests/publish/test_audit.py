"""What a statement says of an audit: both credits, the correction, and a plain sentence; nothing hostile acts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from tasks.audit.correction import UNKNOWN, Uncertain, total
from tasks.audit.types import ContributorAudit, Ends, PairValues, PropertyAudit
from tasks.publish import StatementData, artifact_markdown, report_html, statement_files
from tasks.publish.audit import say_audit, verdict
from tests.publish.building import HOSTILE, NAMES, build
from tests.publish.test_report import Page

AGREES, HIGHER, LOWER = Uncertain(0.001, 0.002, 5), Uncertain(0.01, 0.002, 5), Uncertain(-0.01, 0.002, 5)
NO_INTERVAL = Uncertain(0.01, math.nan, 0)


def property_audit(found: Uncertain, pairs: int = 6, lost: int = 0, name: str = "heldout_loss", unit: str = "nats"):
    stated = Uncertain(0.1, 0.003, 40)
    values = [PairValues((NAMES[0],), 0.1, math.nan if k < lost else 0.11) for k in range(pairs)]
    ends = Ends(-1.0, -0.08), Ends(-1.0, -0.06)
    return PropertyAudit(name, -1, unit, stated, found, total(stated, found), *ends, 0.002, tuple(values))


def audit(name: str, *found: PropertyAudit, complete: bool = False) -> ContributorAudit:
    return ContributorAudit(name, complete, 150, 1000, found)


@pytest.fixture
def audited() -> StatementData:
    return build(audits=(audit(NAMES[3], property_audit(HIGHER)), audit(NAMES[4], property_audit(AGREES, lost=2))))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (AGREES, "The two agree within noise."),
        (HIGHER, "higher by 0.010 (nats); on average over all contributors, credits are higher by 0.0020."),
        (LOWER, "lower by 0.010 (nats); on average over all contributors, credits are higher by 0.0020."),
        (NO_INTERVAL, "how sure that is cannot be said: the differences between the two are too few, or all the same."),
    ],
)
def test_one_plain_sentence_says_what_the_audit_means(found: Uncertain, said: str) -> None:
    one = property_audit(found)
    assert verdict(audit("a", one), one).endswith(said)


def test_missing_pairs_are_counted_and_without_any_nothing_is_claimed() -> None:
    one = property_audit(AGREES, lost=2)
    assert verdict(audit("a", one), one).endswith("2 of 6 pairs are missing: an evaluation of them failed.")
    none = property_audit(UNKNOWN, lost=6)
    assert verdict(audit("a", none), none).startswith("Nothing can be said")


def test_the_report_shows_both_credits_with_intervals(audited: StatementData) -> None:
    page = Page(report_html(audited).decode())
    assert not page.open and "audit" in page.ids and "#audit" in page.addresses
    for words in ("Audit by retraining of 2 contributors", "agree within noise", "higher by 0.010 (nats)", "4 of 6",
                  "150 steps", "1,000 steps", "v(N) is 0.080", "0.1000", "0.1100"):  # fmt: skip
        assert words in page.text, words


def test_markdown_and_log_have_a_line_for_each(audited: StatementData) -> None:
    page = artifact_markdown(audited)
    assert page.count("## Audit by retraining") == 1
    assert len([line for line in page.splitlines() if line.startswith("- ") and "correction" in line]) == 2
    lines = say_audit(audited.audits)
    assert len(lines) == 2 and lines[0].startswith(f"audit of {NAMES[3]}, heldout loss: credit 0.1")


def test_the_manifest_has_the_figures_and_the_coalitions_and_no_number_that_json_does_not_know() -> None:
    data = build(audits=(audit(NAMES[3], property_audit(NO_INTERVAL, lost=1), complete=True),))
    (row,) = json.loads(statement_files(data)["manifest.json"])["audit"]
    assert (row["contributor"], row["property"]) == (NAMES[3], "heldout_loss")
    assert row["credit"] == 0.1 and row["credit_low"] < 0.1 < row["credit_high"]
    assert row["correction"] == 0.01 and row["correction_low"] is None and row["audited_se"] is None
    assert (row["pairs_drawn"], row["pairs_used"], row["complete"]) == (6, 5, True)
    assert row["pairs"][0] == {"members": [NAMES[0]], "finetuned": 0.1, "retrained": None}


def test_nobody_audited_is_no_section_and_an_empty_list() -> None:
    files = statement_files(build())
    assert b"Audit by retraining" not in files["report.html"]
    assert json.loads(files["manifest.json"])["audit"] == []
    assert "Audit" not in artifact_markdown(build())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_units_neither_act_nor_break_the_page(name: str) -> None:
    one = property_audit(LOWER, name=f"mine:{name}", unit=name)
    data = replace(build(HOSTILE), audits=(audit(name, one),))
    report = report_html(data).decode()
    page = Page(report)
    assert not page.open and "script" not in page.tags and not page.handlers and "\u202e" not in report
    block = artifact_markdown(data).partition("## Audit by retraining")[2].partition("\n\n## ")[0]
    assert "<" not in block and "](" not in block and "\u202e" not in block
    assert len([line for line in block.splitlines() if line.strip()]) == 1
    assert all("\n" not in line and "\u202e" not in line for line in say_audit(data.audits))
