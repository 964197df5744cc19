"""The ledger in a bucket: thousands of records, recognised from copies of many at once, which are never the truth."""

from __future__ import annotations

import concurrent.futures
import json
import logging
import time

import pytest

from infra.digest import canonical_json, digest_of, sha256
from infra.ledger import Ledger, ScoreRecord
from infra.store import Store, StoreError, StoreUnavailable

pytestmark = pytest.mark.s3
SUBJECT = "a" * 64


def score(number: int, value: float = 0.5) -> ScoreRecord:
    """A record of the size that real ones have."""
    spec = {"number": number, "members": [SUBJECT] * 12}
    return ScoreRecord(
        key=digest_of("score", spec),
        spec=spec,
        subject=SUBJECT,
        value=value,
        seconds=1.0,
        created="2026-01-01T00:00:00Z",
    )


def fill(ledger: Ledger, numbers: range) -> list[ScoreRecord]:
    records = [score(number) for number in numbers]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(ledger.record, records))
    return records


class Counting(Store):
    """Counts the reads of single records."""

    reads = 0

    def read(self, key: str, expected_sha256: str | None = None, *, limit: int | None = None) -> bytes:
        self.reads += key.startswith("ledger/")
        return super().read(key, expected_sha256, limit=limit)


@pytest.fixture
def store(s3_url: str) -> Counting:
    return Counting(s3_url)


@pytest.fixture
def ledger(store: Counting, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that packs four records already."""
    monkeypatch.setattr("infra.ledger.WORTH_IT", 4)
    return Ledger(store)


@pytest.mark.servers
def test_more_records_than_one_listing_holds_are_all_found_and_a_pack_of_them_is_read_in_15_seconds(
    s3_url: str,
) -> None:
    ledger = Ledger(Store(s3_url))
    records = fill(ledger, range(2100))
    asked = [record.key for record in records[:1000]]
    started = time.monotonic()
    assert len(ledger.find(ScoreRecord, [*asked, SUBJECT])) == 1000
    first = time.monotonic()
    assert ledger.find(ScoreRecord, asked) == {record.key: record for record in records[:1000]}
    again = time.monotonic()
    assert ledger.all(ScoreRecord) == {record.key: record for record in records}
    # For whoever looks; the first reading, one by one, has no bound here.
    print(f"\n1,000 of 2,100 records: {first - started:.1f} s one by one, {again - first:.1f} s from a pack")
    assert again - first < 15  # many times what it takes: only a pack that is not used takes as long


def test_what_was_read_one_by_one_is_read_from_a_pack_the_next_time(ledger: Ledger, store: Counting) -> None:
    records = {record.key: record for record in fill(ledger, range(10))}
    assert ledger.all(ScoreRecord) == records
    assert store.reads == 10
    assert ledger.all(ScoreRecord) == records
    some = dict(list(records.items())[:7])
    assert ledger.find(ScoreRecord, some) == some
    assert store.reads == 10
    more = {record.key: record for record in fill(ledger, range(10, 13))}
    assert ledger.all(ScoreRecord) == records | more
    assert store.reads == 13


def test_whoever_must_write_nothing_reads_packs_and_makes_none(ledger: Ledger, store: Counting) -> None:
    records = {record.key: record for record in fill(ledger, range(10))}
    looking = Ledger(store, packs=False)
    assert looking.all(ScoreRecord) == looking.find(ScoreRecord, records) == records
    assert store.list("packs") == [] and store.reads == 20
    ledger.all(ScoreRecord)
    packs = store.list("packs")
    assert packs and looking.all(ScoreRecord) == records
    assert store.reads == 30 and store.list("packs") == packs


@pytest.mark.parametrize("error", [StoreUnavailable("slow down"), StoreError("no"), OSError("broken pipe")])
@pytest.mark.parametrize("does_not", ["write", "delete"])
def test_a_store_that_takes_no_pack_is_read_all_the_same(
    error: Exception,
    does_not: str,
    ledger: Ledger,
    store: Counting,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("infra.packs.MOST", 0)  # so that the pack that is there is to be deleted

    def fails(*_: object) -> None:
        raise error

    records = {record.key: record for record in fill(ledger, range(5))}
    ledger.all(ScoreRecord)
    records |= {record.key: record for record in fill(ledger, range(5, 10))}
    monkeypatch.setattr(store, does_not, fails)
    with caplog.at_level(logging.WARNING):
        assert ledger.all(ScoreRecord) == records
    assert "no pack of records was written" in caplog.text


def test_a_record_that_was_deleted_is_gone_though_a_pack_has_it(ledger: Ledger, store: Counting) -> None:
    records = fill(ledger, range(10))
    ledger.all(ScoreRecord)
    store.delete(f"ledger/scores/{records[3].key}.json")
    assert records[3].key not in ledger.all(ScoreRecord)
    made_again = score(3, value=0.75)
    ledger.record(made_again)
    assert ledger.all(ScoreRecord)[made_again.key].value == 0.75


def test_a_record_that_somebody_changed_is_refused_though_a_pack_has_it_as_it_was(
    ledger: Ledger, store: Counting
) -> None:
    records = fill(ledger, range(10))
    ledger.all(ScoreRecord)
    store.write(f"ledger/scores/{records[3].key}.json", b"{}")
    with pytest.raises(StoreError, match="is not a ScoreRecord"):
        ledger.all(ScoreRecord)


@pytest.mark.parametrize("content", [b'{"a":1}', b"\x80"])
def test_a_pack_that_is_none_costs_time_and_nothing_else(
    content: bytes, ledger: Ledger, store: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    records = {record.key: record for record in fill(ledger, range(10))}
    ledger.all(ScoreRecord)
    [pack] = store.list("packs/scores")
    store.write(pack, content)
    with caplog.at_level(logging.WARNING):
        assert ledger.all(ScoreRecord) == records
    assert "is no pack of records" in caplog.text


def test_a_copy_in_a_pack_that_is_no_such_record_is_refused_as_the_record_would_be(
    ledger: Ledger, store: Counting
) -> None:
    records = fill(ledger, range(10))
    ledger.all(ScoreRecord)
    [pack] = store.list("packs/scores")
    content = json.loads(store.read(pack))
    version, text = content[records[0].key]
    content[records[0].key] = [version, text.replace('"number":0', '"number":99')]
    store.delete(pack)
    data = canonical_json(content)
    store.write(f"packs/scores/{sha256(data)}.json", data)
    with pytest.raises(StoreError, match="somebody changed it"):
        ledger.all(ScoreRecord)


def test_many_packs_become_one(ledger: Ledger, store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.packs.MOST", 2)
    for part in range(3):
        fill(ledger, range(part * 4, part * 4 + 4))
        ledger.all(ScoreRecord)
    assert len(store.list("packs/scores")) == 1
    before = store.reads
    assert len(ledger.all(ScoreRecord)) == 12
    assert store.reads == before


def test_a_large_ledger_is_packed_in_several_pieces(
    ledger: Ledger, store: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.packs.LARGEST", 4000)
    records = {record.key: record for record in fill(ledger, range(10))}
    assert ledger.all(ScoreRecord) == records
    assert 2 <= len(store.list("packs/scores")) <= 10
    assert ledger.all(ScoreRecord) == records
    assert store.reads == 10


def test_a_folder_has_no_packs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.ledger.WORTH_IT", 4)
    ledger = Ledger(Store(str(tmp_path_factory.mktemp("folder"))))
    fill(ledger, range(10))
    assert len(ledger.all(ScoreRecord)) == 10
    assert ledger.store.list("packs") == []
