"""The ledger: the first record stays, another result is an error, and what somebody planted is refused by name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import canonical_json, digest_of
from infra.ledger import (
    Ledger,
    LedgerConflict,
    ModelRecord,
    Record,
    SamplesRecord,
    ScoreRecord,
    StatisticsRecord,
)
from infra.store import Store, StoreError
from tests.infra.racing import python, race

A, B = "a" * 64, "b" * 64
COMMON: dict[str, Any] = {"seconds": 1.5, "created": "2026-11-23T16:00:00+00:00", "provenance": {"torch": "2"}}


def model(spec: dict[str, Any] | None = None, kind: str = "model", **fields: Any) -> ModelRecord:
    spec = {"pruned": A, "members": [B]} if spec is None else spec
    return ModelRecord(**{**COMMON, "key": digest_of(kind, spec), "spec": spec, "sha256": A, **fields})


def score(value: float | None = 1.0, spec: dict[str, Any] | None = None, **fields: Any) -> ScoreRecord:
    spec = {"subject": A, "property": {"name": "x"}} if spec is None else spec
    return ScoreRecord(
        **{**COMMON, "key": digest_of("score", spec), "spec": spec, "subject": A, "value": value, **fields}
    )


RECORDS: list[Record] = [
    model(),
    model(kind="reference", files={"unet/config.json": B}, facts={"reference/macs": 7.0}, members=["Emily Jäger"]),
    model(kind="pruned", kept=False),
    model(sha256=None, failure="training loss is nan at step 3 of 6"),
    SamplesRecord(**COMMON, key=digest_of("samples", {"n": 1}), spec={"n": 1}, model=A, sha256=B),
    score(),
    score(None, failure="one image has no spread"),
    StatisticsRecord(**COMMON, key=digest_of("statistics", {}), spec={}, sha256=A),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(str(tmp_path / "store")))


@pytest.mark.parametrize("kind", ["folder", "memory", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_comes_back_as_it_was_written(
    record: Record, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("s3_url") if kind == "s3" else f"memory://{tmp_path.name}"
    ledger = Ledger(Store(str(tmp_path) if kind == "folder" else url))
    assert ledger.get(type(record), record.key) is None
    assert ledger.find(type(record), [record.key]) == {}
    assert ledger.all(type(record)) == {}
    assert ledger.record(record) == record
    assert ledger.get(type(record), record.key) == record
    assert ledger.find(type(record), [record.key, A]) == {record.key: record}
    assert ledger.all(type(record)) == {record.key: record}


def test_all_records_of_a_kind_come_back_by_key_and_no_other_kind(ledger: Ledger) -> None:
    scores = [ledger.record(score(float(number), {"number": number})) for number in range(30)]
    models = [ledger.record(model(kind=kind)) for kind in ("model", "reference", "pruned")]
    assert ledger.all(ScoreRecord) == {record.key: record for record in scores}
    assert ledger.all(ModelRecord) == {record.key: record for record in models}
    assert list(ledger.all(ScoreRecord)) == sorted(record.key for record in scores)


@given(
    st.dictionaries(
        st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text() | st.none(), max_size=5
    )
)
def test_any_specification_is_still_named_by_its_digest_when_it_is_read(spec: dict[str, Any]) -> None:
    ledger = Ledger(Store("memory://any-specification"))
    record = score(spec=spec)
    ledger.record(record)
    assert ledger.get(ScoreRecord, record.key) == record


def test_made_again_with_the_same_result_the_first_record_stays(ledger: Ledger) -> None:
    first = ledger.record(model(seconds=1.0))
    assert ledger.record(model(seconds=9.0, provenance={"torch": "3"})) == first
    assert ledger.get(ModelRecord, first.key) == first


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (score(1.0), score(1.0000001)),
        (score(1.0), score(None, failure="why")),
        (score(None, failure="why"), score(1.0)),
        (model(), model(sha256=B)),
        (model(), model(sha256=None, failure="diverged")),
    ],
)
def test_made_again_with_another_result_is_an_error_that_names_both_machines(
    ledger: Ledger, first: Record, second: Record
) -> None:
    ledger.record(first)
    with pytest.raises(LedgerConflict, match=r"made twice with different results.*'torch': '2'"):
        ledger.record(second)
    assert ledger.get(type(first), first.key) == first


def test_a_record_that_is_not_named_by_its_specification_is_never_written(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="not the digest"):
        ledger.record(model(key=A))
    assert ledger.store.list("ledger/models") == []


def plant(ledger: Ledger, content: bytes, key: str | None = None) -> str:
    """Put something where a score would be. Returns its key."""
    key = key or score().key
    ledger.store.write(f"ledger/scores/{key}.json", content)
    return key


def planted(**changes: Any) -> bytes:
    """A score's JSON with some fields changed; NaN and such are written as Python's json writes them."""
    return json.dumps({**score().model_dump(mode="json"), **changes}).encode()


HOSTILE = {
    "NaN as value": planted(value=float("nan")),
    "infinite value": planted(value=float("inf")),
    "infinite seconds": planted(seconds=float("inf")),
    "negative seconds": planted(seconds=-1),
    "NaN in the specification": planted(spec={"x": float("nan")}),
    "text as value": planted(value="1.0"),
    "truth as value": planted(value=True),
    "list as value": planted(value=[1.0]),
    "number as failure": planted(value=None, failure=1),
    "no value and no failure": planted(value=None),
    "value and failure": planted(failure="why"),
    "unknown field": planted(harmless="x"),
    "unknown version": planted(schema_version=2),
    "key that is no digest": planted(key="../../x"),
    "subject that is no digest": planted(subject="../../x"),
    "another specification": planted(spec={"subject": B}),
    "another kind": canonical_json(model().model_dump(mode="json")),
    "a list": b"[]",
    "nothing": b"",
    "half": planted()[:-10],
    "two": planted() * 2,
    "deep": b'{"spec":' + b"[" * 100_000,
    "not UTF-8": b'{"failure":"\xff"}',
    "pickle": pickle.dumps({"value": 1.0}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_not_such_a_record_to_the_letter_is_refused_by_name(ledger: Ledger, content: bytes) -> None:
    key = plant(ledger, content)
    reads = (
        lambda: ledger.get(ScoreRecord, key),
        lambda: ledger.find(ScoreRecord, [key]),
        lambda: ledger.all(ScoreRecord),
    )
    for read in reads:
        with pytest.raises(StoreError, match=key):
            read()
    with pytest.raises(StoreError, match=key):
        ledger.record(score())


def test_the_planted_records_are_refused_for_what_was_changed_alone(ledger: Ledger) -> None:
    assert ledger.get(ScoreRecord, plant(ledger, planted())) == score()


def test_a_record_moved_to_another_key_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="somebody moved it"):
        ledger.get(ScoreRecord, plant(ledger, planted(), key=A))


def test_a_changed_specification_under_the_old_key_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="somebody changed it"):
        ledger.get(ScoreRecord, plant(ledger, planted(spec={"subject": B})))


def test_a_huge_record_is_refused_before_it_is_read(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="too large"):
        ledger.get(ScoreRecord, plant(ledger, planted(failure="x" * 2**24)))


def test_foreign_files_in_the_ledgers_folder_disturb_nobody(ledger: Ledger) -> None:
    record = ledger.record(score())
    for name in ("README.md", "short.json", f"old/{A}.json", f"{A}.json.bak", f"{A}.txt"):
        ledger.store.write(f"ledger/scores/{name}", b"hello")
    assert ledger.find(ScoreRecord, [record.key]) == {record.key: record}
    assert ledger.all(ScoreRecord) == {record.key: record}


def test_racing_recorders_of_different_results_end_with_one_and_errors(ledger: Ledger) -> None:
    def attempt(number: int) -> float | str:
        try:
            value = ledger.record(score(float(number))).value
        except LedgerConflict:
            return "conflict"
        assert value is not None
        return value

    results = race(8, attempt)
    stored = ledger.get(ScoreRecord, score().key)
    assert stored is not None
    assert sorted(r for r in results if r != "conflict") == [stored.value]
    assert results.count("conflict") == 7


def test_racing_recorders_of_one_result_all_succeed(ledger: Ledger) -> None:
    results = race(8, lambda number: ledger.record(score(seconds=float(number))).seconds)
    assert len(set(results)) == 1


RECORDER = """
import sys
from infra.digest import digest_of
from infra.ledger import Ledger, ScoreRecord
from infra.store import Store
ledger, subject = Ledger(Store(sys.argv[1])), "a" * 64
print("ready")
for number in range(10**9):
    spec = {"number": number, "run": sys.argv[2]}
    ledger.record(ScoreRecord(key=digest_of("score", spec), spec=spec, subject=subject, value=1.0, seconds=0, created=""))
"""


def test_a_recorder_that_is_killed_leaves_whole_records_only(ledger: Ledger) -> None:
    for run in range(3):
        recorder = python(RECORDER, ledger.store.url, run)
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "ready\n"
        while len(ledger.store.list("ledger/scores")) < 5 * (run + 1):
            assert recorder.poll() is None
        recorder.kill()
        recorder.wait()
        recorder.stdout.close()
    keys = [key.rpartition("/")[2].removesuffix(".json") for key in ledger.store.list("ledger/scores")]
    assert len(ledger.find(ScoreRecord, keys)) == len(keys) >= 15
