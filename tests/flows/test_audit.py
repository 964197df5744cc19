"""An audit in the flow: what it trains, what it takes from the ledger, and what the statement says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.attribute import attribute
from flows.reattribute import reattribute
from flows.validate_data import validate_data
from infra.store import Store
from tasks.evaluate.failures import TooManyFailures
from tasks.partition import DataError
from tests.flows.reading import latest, ledger, made, manifest, models, table
from tests.flows.seen import artifacts
from tests.small import DESIGNERS, small_study

WHO = DESIGNERS[1]
WITHOUT = 8  # coalitions of the three others


def audit(pairs: int = WITHOUT, *who: str, **fields: Any) -> dict[str, Any]:
    return {"contributors": list(who or (WHO,)), "pairs": pairs, **fields}


def from_random(store: Store) -> int:
    """Coalitions that were ever trained from random weights."""
    records = [record for key, record in ledger(store).items() if key.startswith("ledger/models")]
    return sum(b'"start":"random"' in record and b'"members":[]' not in record for record in records)


def test_two_pairs_train_at_most_four_coalitions_and_leave_what_is_fine_tuned_alone(
    data: Path, finished: Store
) -> None:
    before, networks, count = ledger(finished), made(finished), models(finished)
    credits = table(finished, "small", "credits.parquet")
    attribute(small_study(data, audit=audit(2)))
    now = ledger(finished)
    assert {key: now[key] for key in before} == before and {k: made(finished)[k] for k in networks} == networks
    assert from_random(finished) == models(finished) - count, "something was fine-tuned anew"
    assert from_random(finished) in (3, 4)  # alone, one coalition without and with, everybody; some may be one
    assert table(finished, "small", "credits.parquet").equals(credits), "the stated credits are not touched"
    row = manifest(finished, "small")["audit"][0]
    assert (row["pairs_drawn"], row["pairs_used"], row["complete"]) == (2, 2, False)
    assert row["correction"] is not None and row["correction_low"] is None, "one difference by chance has no error"


def test_a_complete_audit_gives_the_credit_that_retraining_gives_and_the_second_run_trains_nothing(
    data: Path, finished: Store
) -> None:
    attribute(small_study(data, audit=audit()))
    assert from_random(finished) == 15, "every coalition but the empty one"
    rows = {row["property"]: row for row in manifest(finished, "small")["audit"]}
    report = finished.read(f"{latest(finished, 'small')}/report.html").decode()
    page = str(artifacts("statement-small")[-1].data)
    assert "Audit by retraining" in report and "Audit by retraining" in page
    stated = table(finished, "small", "credits.parquet").set_index("contributor").loc[WHO]

    before = ledger(finished), made(finished)
    attribute(small_study(data, audit=audit()))
    assert (ledger(finished), made(finished)) == before

    attribute(small_study(data, name="retrained", coalition={"mode": "retrain"}))
    truth = table(finished, "retrained", "credits.parquet").set_index("contributor").loc[WHO]
    for name in ("heldout_loss", "colourfulness"):
        row = rows[name]
        assert row["complete"] and row["pairs_used"] == WITHOUT and row["contributor"] == WHO
        assert row["credit"] == pytest.approx(stated[f"{name}_credit"])
        assert row["audited"] == pytest.approx(truth[f"{name}_credit"])
        assert row["correction_low"] < row["correction"] < row["correction_high"]
        gains = [row[f"everybody_{how}"] - row["empty"] for how in ("retrained", "finetuned")]
        assert row["common"] == pytest.approx((gains[0] - gains[1]) / len(DESIGNERS))


def test_an_audit_works_in_worker_processes(data: Path, finished: Store) -> None:
    attribute(small_study(data, audit=audit(2), execution={"mode": "processes", "workers": 2}))
    assert from_random(finished) in (3, 4)
    assert all(row["pairs_used"] == 2 for row in manifest(finished, "small")["audit"])
    assert artifacts("audit-small")[-1].data == 100.0


def test_nobody_to_audit_leaves_no_word_of_it(finished: Store) -> None:
    assert manifest(finished, "small")["audit"] == []
    assert "Audit by retraining" not in finished.read(f"{latest(finished, 'small')}/report.html").decode()


def test_a_name_that_nobody_has_ends_the_run_before_anything_is_trained(data: Path, store: Store) -> None:
    with pytest.raises(DataError, match=r"Emily Jager.*closest: Emily Jäger"):
        attribute(small_study(data, audit=audit(2, "Emily Jager")))
    assert not store.list("ledger")


def test_failed_retraining_ends_the_run_by_the_studys_own_rule_and_keeps_its_reasons(
    data: Path, finished: Store
) -> None:
    folder = finished.where(f"reference/{manifest(finished, 'small')['reference']['sha256']}")
    given = {
        "pretrained": folder,
        "pretrained_is": "reference",
        "learning_rate": 1e30,
    }  # used by nothing but retraining
    study = small_study(data, name="diverging", model=given, audit=audit(2), coalition={"audit_coalitions": 0})
    with pytest.raises(TooManyFailures, match="training loss is"):
        attribute(study)
    assert not finished.list("studies/diverging")
    failures = [record for record in ledger(finished).values() if b'"failure":"training loss is' in record]
    assert failures and all(b'"start":"random"' in record for record in failures if b'"how"' in record)
    tolerant = study.model_copy(
        update={"execution": study.execution.model_copy(update={"failure_tolerance": 0.99}), "name": "tolerant"}
    )
    with pytest.raises(TooManyFailures, match="no credit can be had without"):  # everybody's has no value either
        attribute(tolerant)


def test_a_preview_says_what_an_audit_adds_and_refuses_the_same_names(data: Path, finished: Store) -> None:
    found = validate_data(small_study(data, audit=audit(3, *DESIGNERS[:2])))
    assert found.audit is not None and (found.audit.trainings, found.audit.steps) == (12, 4)
    assert found.most.evaluations == 0, "the audit is not in the sums"
    assert "12 trainings from random weights" in str(artifacts("preview-small")[-1].data)
    with pytest.raises(DataError, match="closest: Emily Jäger"):
        validate_data(small_study(data, audit=audit(2, "Emily Jager")))


def test_reattribute_does_an_audit_that_is_newly_asked_for_and_then_leaves_it(data: Path, finished: Store) -> None:
    asked = small_study(data, audit=audit(2))
    before = latest(finished, "small")
    reattribute(asked)
    assert latest(finished, "small") != before and from_random(finished) in (3, 4)
    assert manifest(finished, "small")["evaluations"]["new"] == 0
    statement = latest(finished, "small")
    reattribute(asked)
    assert latest(finished, "small") == statement


def test_retraining_cannot_be_checked_by_retraining(data: Path) -> None:
    with pytest.raises(ValueError, match="nothing to check against"):
        small_study(data, audit=audit(2), coalition={"mode": "retrain"})
