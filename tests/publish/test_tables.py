"""The tables say what the credits say, and the files can be read back."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.publish import credits_table, notes, statement_files
from tasks.publish.tables import Separation
from tasks.shapley import estimate_credits, propose_coalitions
from tests.publish.building import HOSTILE, NAMES, build


def test_credits_table_has_the_columns_of_every_property_and_the_values_of_the_credits() -> None:
    data = build()
    table = credits_table(data)
    assert list(table.columns[:3]) == ["contributor", "images", "pro_rata"]
    assert list(table.columns[3:11]) == [
        f"heldout_loss_{part}"
        for part in ("credit", "ci_low", "ci_high", "excess", "excess_low", "excess_high", "share", "rank")
    ]
    assert len(table) == len(NAMES) and len(table.columns) == 3 + 8 * 3
    for result in data.results:
        low, high = result.credits.interval(0.9)
        assert np.array_equal(table[f"{result.name}_credit"], result.credits.values)
        assert np.array_equal(table[f"{result.name}_ci_low"], low) and np.array_equal(
            table[f"{result.name}_ci_high"], high
        )
        assert np.allclose(table[f"{result.name}_excess"].sum(), 0)
        best = int(np.argmax(result.credits.values))
        assert table[f"{result.name}_rank"][best] == 1
    assert table["pro_rata"].sum() == pytest.approx(1)


def test_equal_credits_share_the_better_rank_even_when_rounding_differs() -> None:
    data = build()
    result = data.results[0]
    values = np.array([1.0, 0.1 + 0.2, 0.3, 0.0] + [-1.0] * 6)
    data = replace(data, results=(replace(result, credits=replace(result.credits, values=values)),))
    assert credits_table(data)["heldout_loss_rank"].tolist() == [1, 2, 2, 4] + [5] * 6


def test_missing_shares_are_empty_and_the_notes_give_the_reason() -> None:
    data = build()
    assert credits_table(data)["colourfulness_share"].isna().all()
    assert any("no shares for colourfulness" in note and "no better than the baseline" in note for note in notes(data))
    assert credits_table(data)["frechet_lite_share"].sum() == pytest.approx(1)


def test_shares_near_one_over_n_are_remarked_with_the_figures() -> None:
    [note] = [note for note in notes(build(properties=1, failed=0)) if "equal share" in note]
    assert "10.0 %" in note and "0.927 nats" in note and "0.0113" in note


def test_low_budget_and_missing_intervals_are_noted() -> None:
    data = build(properties=1, failed=0)
    credits = replace(data.results[0].credits, n_evaluations=12)
    low = replace(data, results=(replace(data.results[0], credits=credits),))
    assert any("Low budget for heldout_loss" in note for note in notes(low))
    none = replace(data, results=(replace(data.results[0], credits=replace(credits, degrees_of_freedom=0.0)),))
    assert any("No intervals for heldout_loss" in note for note in notes(none))
    assert b"no interval" in statement_files(none)["report.html"]


def test_separation_counts_each_pair_once_and_bounds_the_rank() -> None:
    separation = Separation.of(build(sure=200.0).results[0])
    assert separation.pairs == 45 and separation.apart == 45
    assert sorted(separation.best) == list(range(1, 11)) and np.array_equal(separation.best, separation.worst)
    blurred = Separation.of(build(sure=0.01).results[0])
    assert blurred.apart == 0 and set(blurred.best) == {1} and set(blurred.worst) == {10}


def test_parquet_files_read_back_as_they_were_written() -> None:
    data = build(HOSTILE)
    files = statement_files(data)
    table = pd.read_parquet(io.BytesIO(files["credits.parquet"]))
    pd.testing.assert_frame_equal(table, credits_table(data), check_dtype=False)
    evaluations = pd.read_parquet(io.BytesIO(files["evaluations.parquet"]))
    assert list(evaluations.columns) == list(data.evaluations.columns)
    assert [list(members) for members in evaluations["members"]] == list(data.evaluations["members"])
    assert evaluations["failure"].notna().sum() == 2


def test_csv_disarms_formulas_and_changes_no_other_name() -> None:
    rows = list(csv.DictReader(io.StringIO(statement_files(build(HOSTILE))["credits.csv"].decode())))
    assert len(rows) == len(HOSTILE)
    for row, name in zip(rows, HOSTILE, strict=True):
        assert row["contributor"] == (f"'{name}" if name[0] in "=+-@\t\r" else name)


def test_names_that_are_not_utf8_reach_every_file() -> None:
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    files = statement_files(build((broken, *NAMES[1:])))
    assert json.loads(files["manifest.json"])["contributors"][0]["name"] == broken
    assert pd.read_parquet(io.BytesIO(files["credits.parquet"]))["contributor"][0] == "caf\\udce9"
    assert "caf⟨U+DCE9⟩" in files["report.html"].decode()


def test_manifest_names_the_digest_of_every_other_file_and_holds_all_problems() -> None:
    data = build(manifest={"epoch": "e", "loss": float("nan"), "count": np.int64(3)})
    files = statement_files(data)
    assert list(files)[-1] == "manifest.json"
    manifest = json.loads(files["manifest.json"])
    assert manifest["loss"] is None and manifest["count"] == 3
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for name, entry in manifest["files"].items():
        assert entry == {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    assert len(manifest["problems"]) == len(data.partition.problems)


def test_results_of_another_number_of_contributors_are_refused() -> None:
    data = build()
    with pytest.raises(ValueError, match="3 contributors, but the partition holds 10"):
        build(results=build(NAMES[:3]).results)
    with pytest.raises(ValueError, match="appears twice"):
        replace(data, results=(data.results[0], data.results[0]))


def test_a_statement_can_be_made_of_really_estimated_credits() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=len(NAMES))
    coalitions = propose_coalitions(len(NAMES), 40, seed=0)
    credits = estimate_credits(coalitions, coalitions @ truth + rng.normal(0, 0.05, len(coalitions)))
    data = build()
    data = replace(data, results=(replace(data.results[0], credits=credits),))
    assert credits_table(data)["heldout_loss_rank"][int(np.argmax(truth))] == 1
    assert b"Shapley" in statement_files(data)["report.html"]
