"""Records of who has opted out: append-only, the last one rules, and none is taken for granted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.names import key_part
from infra.opt_outs import Amount, OptOut, Removal, add, finish, opted_out, records, removal, standing
from infra.store import Store, StoreError
from infra.upload import UploadError, hand_in, prepare
from infra.uploads import find_uploads
from tests.infra.racing import race

PERSON = "Emily Jäger"
NOW = datetime(2025, 5, 1, 12, tzinfo=UTC)


def record(event: str = "left", name: str = PERSON) -> OptOut:
    fields = {"contributor": name, "event": event, "when": NOW, "by": "her letter of May"}
    return OptOut.model_validate(
        {**fields, "removed": {"uploads": Amount(count=3, bytes=99)} if event == "left" else {}}
    )


def test_the_last_record_rules_and_none_is_changed(store: Store) -> None:
    assert opted_out(store) == set() and standing(store, PERSON) is None
    add(store, record(), 1)
    add(store, record(name="Bob"), 1)
    assert opted_out(store) == {PERSON, "Bob"} and standing(store, PERSON) == (1, record())
    add(store, record("returned"), 2)
    assert opted_out(store) == {"Bob"} and standing(store, PERSON) is None
    add(store, record(), 3)
    assert opted_out(store) == {PERSON, "Bob"}
    assert [each.event for each in records(store, PERSON).values()] == ["left", "returned", "left"]
    with pytest.raises(StoreError, match="just been written by somebody else"):
        add(store, record("returned"), 3)
    assert standing(store, PERSON) == (3, record())


def test_a_log_belongs_to_its_record_and_is_none_of_the_records(store: Store) -> None:
    add(store, record(), 1)
    assert removal(store, PERSON, 1) is None
    log = Removal(
        contributor=PERSON, finished=NOW, removed={"data": Amount(count=1, bytes=5)}, still=("the reference",)
    )
    finish(store, log, 1)
    assert removal(store, PERSON, 1) == log and removal(store, PERSON, 2) is None
    assert list(records(store, PERSON)) == [1]


@pytest.mark.parametrize(
    "change",
    [{"event": "gone"}, {"extra": 1}, {"schema_version": 2}, {"by": ""}, {"by": "a\nb"}, {"contributor": "../x"},
     {"contributor": "Bob"}, {"when": "2025-05-01T12:00:00"}],
    ids=str,
)  # fmt: skip
def test_what_is_no_record_stops_everything_rather_than_let_somebody_in(change: dict[str, Any], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    add(store, record(), 1)
    key = f"opt-outs/{key_part(PERSON)}/00000001.json"
    store.write(key, json.dumps(json.loads(store.read(key)) | change).encode())
    with pytest.raises(StoreError, match=key_part(PERSON)):
        opted_out(store)


def test_of_several_who_write_the_same_number_one_does(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))

    def write(number: int) -> bool:
        try:
            add(store, record().model_copy(update={"by": f"racer {number}"}), 1)
        except StoreError:
            return False
        return True

    assert sum(race(6, write)) == 1


def test_whoever_has_opted_out_cannot_hand_in_and_is_told_how_to_return(store: Store, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "sun.png").write_bytes(b"sun")
    upload, paths = prepare(images, PERSON)
    add(store, record(), 1)
    with pytest.raises(UploadError, match=r"opted out on 2025-05-01.*flows\.run_opt_out --return 'Emily Jäger'"):
        hand_in(upload, paths, store)
    assert store.list("uploads") == []
    add(store, record("returned"), 2)
    assert hand_in(upload, paths, store)


def test_an_opt_out_during_an_upload_keeps_it_from_being_complete(tmp_path: Path) -> None:
    class Slow(Store):
        def write_file(self, key: str, source: Path) -> str:
            add(self, record(), 1)
            return super().write_file(key, source)

    images = tmp_path / "images"
    images.mkdir()
    (images / "sun.png").write_bytes(b"sun")
    store = Slow(str(tmp_path / "store"))
    with pytest.raises(UploadError, match="opted out"):
        hand_in(*prepare(images, PERSON), store)
    assert not find_uploads(store).complete
