"""What driver and worker tell each other arrives whole, or is refused."""

from __future__ import annotations

import json
import pickle
import uuid
from pathlib import Path

import numpy as np
import pytest

from infra.digest import sha256
from infra.store import Store, StoreError
from tasks.evaluate.jobs import Outcome
from tasks.evaluate.shards import messages
from tasks.evaluate.shards.messages import load_report, load_setting, load_shard, save_report, save_setting, save_shard
from tasks.evaluate.shards.worker import same_store
from tests.evaluate.shards.building import jobs, setting

RUN = str(uuid.UUID(int=7))


def test_jobs_and_settings_arrive_as_they_were_sent_with_the_same_keys(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    sent = jobs(20)
    digest = save_shard(sent, store)
    assert list(load_shard(digest, store)) == sent
    assert [job.model.key for job in load_shard(digest, store)] == [job.model.key for job in sent]
    assert save_shard(sent, store) == digest

    mine = setting(store)
    found = load_setting(save_setting(mine, store), store)
    assert np.array_equal(found.ownership, mine.ownership)
    assert (found.study, found.train_digests, found.statistics) == (mine.study, mine.train_digests, mine.statistics)


def test_a_shard_that_was_changed_in_the_store_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    digest = save_shard(jobs(2), store)
    key = f"shards/{digest}.json"
    store.write(key, store.read(key).replace(b'"seed":0', b'"seed":1'))
    with pytest.raises(StoreError, match="does not have the sha256"):
        load_shard(digest, store)


def test_a_worker_of_another_version_refuses_to_give_its_numbers_this_versions_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    digest = save_setting(setting(store), store)
    monkeypatch.setattr(messages, "VERSIONS", {**messages.VERSIONS, "training": 2})
    with pytest.raises(StoreError, match=r"another version.*'training': 1.*'training': 2.*same version"):
        load_setting(digest, store)


@pytest.mark.parametrize(
    "planted",
    [
        pickle.dumps({"jobs": []}),
        b"{}",
        json.dumps({"schema_version": 2, "jobs": []}).encode(),
        json.dumps({"schema_version": 1, "jobs": [{"members": [-1]}]}).encode(),
        json.dumps({"schema_version": 1, "jobs": [], "command": "rm"}).encode(),
    ],
)
def test_what_is_no_shard_is_refused_and_never_executed(tmp_path: Path, planted: bytes) -> None:
    store = Store(str(tmp_path))
    store.write(f"shards/{sha256(planted)}.json", planted)
    with pytest.raises(StoreError, match="is not what this version"):
        load_shard(sha256(planted), store)


def test_a_report_comes_back_and_one_about_another_shard_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    outcomes = [Outcome({"a": 1.5}, {}, {"score": 0.1}, True, False, 1), Outcome({}, {"a": "diverged"}, {}, True)]
    assert load_report(RUN, "0" * 64, 2, store) is None
    save_report(RUN, "0" * 64, outcomes, worker="box, cpu", loading=1.0, working=2.0, store=store)
    found = load_report(RUN, "0" * 64, 2, store)
    assert found is not None and found[1] == outcomes and found[0].working == 2.0
    for shard, count in (("1" * 64, 2), ("0" * 64, 3)):
        with pytest.raises(StoreError, match="is not about the shard"):
            load_report(RUN, shard, count, store)


def test_a_worker_with_another_store_refuses_and_names_both(tmp_path: Path) -> None:
    ours, theirs = str(tmp_path / "ours"), str(tmp_path / "theirs")
    assert same_store(Store(ours).url, ours).url == Store(ours).url
    with pytest.raises(StoreError, match=r"ours.*theirs.*CREDIT_STORE"):
        same_store(theirs, ours)
