"""Somebody opts out: nothing of theirs is left that can go, later runs do without them, and what stays is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Cancelling, Running

from flows.attribute import attribute
from flows.opt_out import opt_out
from flows.validate_data import validate_data
from infra.lease import Lease, LeaseHeld
from infra.ledger import Ledger, ModelRecord, SamplesRecord
from infra.names import key_part
from infra.opt_outs import opted_out, records, removal
from infra.prefect_api import client
from infra.store import Store
from infra.upload import UploadError, hand_in, prepare
from infra.work_pool_types import WorkUnderWay, store_tag
from tests.flows.reading import ledger, manifest, table
from tests.flows.seen import artifacts
from tests.handed import folder_of, handed_in
from tests.small import DESIGNERS, small_study

LEAVER = "Emily Jäger"
FILES = ("uploads", "data", "models", "samples")


@pytest.fixture
def used(data: Path, finished: Store, tmp_path: Path) -> Store:
    """A store in which `small_study` has been run, with uploads of two designers in two collections."""
    handed_in(LEAVER, data, tmp_path, finished, "spring")
    handed_in(LEAVER, data, tmp_path / "more", finished, "summer")
    handed_in(DESIGNERS[0], data, tmp_path, finished, "spring")
    return finished


def theirs(store: Store, name: str = LEAVER) -> list[str]:
    """All of a contributor's that could be removed, found in another way than by the code that removes it."""
    named = manifest(store, "small")["contributors"] if name in str(manifest(store, "small")) else []
    fingerprints = {c["fingerprint"] for c in named if c["name"] == name} or FINGERPRINTS
    FINGERPRINTS.update(fingerprints)
    models = {k: r for k, r in Ledger(store).all(ModelRecord).items() if fingerprints & set(r.spec.get("members", []))}
    assert models
    weights = {f"models/{record.sha256}.safetensors" for record in models.values()}
    drawn = {f"samples/{r.sha256}.safetensors" for r in Ledger(store).all(SamplesRecord).values() if r.model in models}
    uploads = {key for key in store.list("uploads") if f"/{key_part(name)}/" in key}
    return sorted((weights | drawn) & {*store.list("models"), *store.list("samples")} | uploads)


FINGERPRINTS: set[str] = set()  # the leaver's, from the statement in which they last were


def everything(store: Store) -> dict[str, bytes]:
    return {key: store.read(key) for kind in FILES for key in store.list(kind)}


def test_nothing_of_theirs_is_left_that_can_go_and_the_next_statement_does_without_them(
    data: Path, used: Store
) -> None:
    before, told = ledger(used), manifest(used, "small")
    others = {key for kind in FILES for key in used.list(kind)} - set(theirs(used)) - set(used.list("data"))
    assert len(theirs(used)) > 20 and used.list("data")

    left = opt_out(LEAVER, "her letter")
    assert theirs(used) == [] and used.list("data") == []
    assert others == {key for kind in FILES for key in used.list(kind)}  # nobody else's is touched
    assert ledger(used) == before and opted_out(used) == {LEAVER}
    assert all(left.removed[kind][0] > 0 for kind in FILES)
    said = " ".join(left.still)
    assert "reference model, pruned model" in said and "epoch 1 of study 'small'" in said and told["run"] in said
    assert "epoch 1 of small" in left.could_not[0] and "takes a new epoch" in left.could_not[0]
    page = str(artifacts("opt-out")[-1].data)
    assert "What still holds their data" in page and "sets of prepared images" in page
    assert "without this contributor's share, until the other owners take them out" in said
    assert "in which others have a share too" in page
    log = removal(used, LEAVER, 1)
    assert log is not None and log.still == left.still and log.removed["models"].count == left.removed["models"][0]

    study = small_study(data, epoch={"drift": 1.0})  # the epoch goes on: its reference stays, its images are gone
    assert [c["name"] for c in validate_data(study).contributors] == [d for d in DESIGNERS if d != LEAVER]
    attribute(study)
    new = manifest(used, "small")
    assert new["epoch"]["number"] == 1 and new["run"] != told["run"]
    assert LEAVER not in {c["name"] for c in new["contributors"]}
    assert LEAVER not in set(table(used, "small", "credits.parquet")["contributor"])
    (problem,) = (p for p in new["problems"] if p["kind"] == "opted-out")
    assert problem["subject"] == LEAVER and "has opted out" in problem["reason"]
    assert theirs(used) == []
    assert set(before.items()) <= set(ledger(used).items())


def test_again_changes_nothing_and_whoever_returns_is_in_the_next_statement(
    data: Path, used: Store, tmp_path: Path
) -> None:
    opt_out(LEAVER, "her letter")
    attribute(small_study(data))
    after = everything(used)
    again = opt_out(LEAVER, "once more")
    assert again.removed == {} and again.by == "her letter" and everything(used) == after
    assert list(records(used, LEAVER)) == [1]

    upload = prepare(folder_of(LEAVER, data, tmp_path / "third"), LEAVER, "spring")
    with pytest.raises(UploadError, match="--return 'Emily Jäger'"):
        hand_in(*upload, used)
    back = opt_out(LEAVER, "her second letter", returning=True)
    assert back.event == "returned" and opted_out(used) == set()
    assert hand_in(*upload, used)
    attribute(small_study(data))
    assert {c["name"] for c in manifest(used, "small")["contributors"]} == set(DESIGNERS)
    with pytest.raises(ValueError, match="has not opted out"):
        opt_out(LEAVER, "again", returning=True)


@pytest.mark.parametrize("killed_at", ["uploads", "data", "models", "samples"])
def test_a_crash_leaves_them_out_and_the_same_again_completes_it(
    killed_at: str, used: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert theirs(used)
    delete, gone = Store.delete, 0

    def dies(self: Store, key: str) -> None:
        nonlocal gone
        if key.startswith(f"{killed_at}/"):
            gone += 1
            if gone > 1 or killed_at == "data":
                raise OSError("the machine is gone")
        delete(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete", dies)
        with pytest.raises(OSError, match="the machine is gone"):
            opt_out(LEAVER, "her letter")
    assert opted_out(used) == {LEAVER} and removal(used, LEAVER, 1) is None
    if killed_at == "uploads":
        assert theirs(used)
    left = opt_out(LEAVER, "whoever goes on")
    assert theirs(used) == [] and used.list("data") == []
    assert left.by == "her letter" and list(records(used, LEAVER)) == [1] and removal(used, LEAVER, 1) is not None


def test_nothing_is_removed_while_a_study_runs_or_by_a_name_that_nobody_has(used: Store) -> None:
    before = everything(used)
    with Lease(used, "other", "flow run calm-owl"), pytest.raises(LeaseHeld, match="calm-owl"):
        opt_out(LEAVER, "her letter")
    with pytest.raises(ValueError, match=r"nobody is called 'Emily Jaeger'.*closest: 'Emily Jäger'"):
        opt_out("Emily Jaeger", "her letter")
    with pytest.raises(ValueError, match="stands for several"):
        opt_out("small contributors", "whoever")
    assert everything(used) == before and opted_out(used) == set() and used.list("opt-outs") == []
    opt_out("Emily Jaeger", "her letter", unknown_name=True)
    assert opted_out(used) == {"Emily Jaeger"}


def test_what_a_killed_driver_left_in_a_work_pool_is_over_before_anything_is_removed(used: Store) -> None:
    @flow(name="evaluate-shard")
    def shard() -> None:
        """Never run: only the server is told of it."""

    before, tag = everything(used), store_tag(used.url)
    with client() as server:
        server.create_flow_run(shard, tags=[store_tag("another store")], state=Running())
        one = server.create_flow_run(shard, tags=[tag, "study:small"], state=Running())
        other = server.create_flow_run(shard, tags=[tag])  # nobody has taken it yet
        with pytest.raises(WorkUnderWay, match=rf"2 flow runs.*Nothing was removed.*cancel them.*{tag}"):
            opt_out(LEAVER, "her letter")
        server.set_flow_run_state(other.id, Cancelled(), force=True)
        server.set_flow_run_state(one.id, Cancelling(), force=True)  # its worker has yet to end it
        with pytest.raises(WorkUnderWay, match="1 flow run that works"):
            opt_out(LEAVER, "her letter")
        assert everything(used) == before and used.list("opt-outs") == []
        server.set_flow_run_state(one.id, Cancelled(), force=True)
    opt_out(LEAVER, "her letter")
    assert opted_out(used) == {LEAVER} and theirs(used) == []


def test_one_who_was_merged_with_others_takes_the_merged_coalitions_along(data: Path, store: Store) -> None:
    small = small_study(data, data={"url": str(data), "minimum_images": 10_000})
    with pytest.raises(ValueError, match="at least two"):
        validate_data(small)  # all merged: no game
    images = {c["name"]: c["images"] for c in validate_data(small_study(data)).contributors}
    minimum = int(sorted(map(float, images.values()))[1]) + 1
    attribute(small_study(data, data={"url": str(data), "minimum_images": minimum}))
    (merged,) = (c for c in manifest(store, "small")["contributors"] if c["merged"])
    left = opt_out(merged["merged"][0], "a letter")
    models = Ledger(store).all(ModelRecord).values()
    of_theirs = {r.sha256 for r in models if merged["fingerprint"] in r.spec.get("members", [])}
    assert of_theirs and left.removed["models"][0] == len(of_theirs)
    assert not {f"models/{sha256}.safetensors" for sha256 in of_theirs} & set(store.list("models"))


def test_the_command_says_what_went_and_returns(used: Store) -> None:
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}

    def command(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.run_opt_out", LEAVER, *more], env=environment, capture_output=True, text=True
        )

    ended = command("--by", "her letter", "--json")
    assert ended.returncode == 0, ended.stderr
    (answer,) = (json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{"))
    assert answer["by"] == "her letter" and answer["removed"]["uploads"][0] > 0
    assert opted_out(used) == {LEAVER}
    assert command("--return").returncode == 0 and opted_out(used) == set()
    refused = command("--return")
    assert refused.returncode == 1 and "has not opted out" in refused.stderr
    assert "Encountered exception" in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.s3
def test_one_who_only_ever_handed_in_to_a_bucket_leaves_it(
    data: Path, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDIT_STORE", s3_url)
    store = Store(s3_url)
    handed_in(LEAVER, data, tmp_path, store)
    kept = handed_in(DESIGNERS[0], data, tmp_path, store)
    left = opt_out(LEAVER, "her letter")
    assert left.removed.keys() == {"uploads"} and opted_out(store) == {LEAVER}
    assert {key.split("/")[2] for key in store.list("uploads")} == {key_part(kept.contributor)}
