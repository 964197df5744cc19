"""What may be deleted, on stores that hold what other people put there, or what a killed run left."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infra.digest import digest_of, sha256
from infra.ledger import LatentsRecord, Ledger, ModelRecord, Record, SamplesRecord, ScoreRecord, StatisticsRecord
from infra.store import Store, StoreError
from tasks.epoch.records import EpochRecord, open_epoch
from tasks.families.stored import base_folder, latents_spec
from tasks.housekeeping.clear import clear
from tasks.housekeeping.survey import (
    FROZEN,
    KNOWN,
    NEEDED,
    PREPARED,
    RETIRED,
    STATEMENT,
    STRANGE,
    UNFINISHED,
    UNKNOWN,
    UNTOLD,
    YOUNG,
    survey,
)
from tasks.housekeeping.types import Rules

RUN = "20260101T000000Z-0123abcd"
MADE: dict[str, Any] = {"seconds": 1.0, "created": "2026-01-01T00:00:00+00:00"}
RETIRING = Rules(retired_epochs=True, older_than_days=0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def verdicts(store: Store, rules: Rules = RETIRING) -> dict[str, tuple[bool, str]]:
    """Key (the first, of what is kept together) -> whether it goes, and why."""
    return {verdict.item.keys[0]: (verdict.goes, verdict.why) for verdict in survey(store, rules)[1]}


def content(name: str) -> str:
    """sha256 of some bytes of that name."""
    return sha256(name.encode())


def record(store: Store, made: type[Record], kind: str, spec: dict[str, Any], **fields: Any) -> Any:
    return Ledger(store).record(made(key=digest_of(kind, spec), spec=spec, **MADE, **fields))


class Made:
    """An epoch's reference, pruned model and statistics in store and ledger, and one scored evaluation. base: content of the
    autoencoder on which reference and pruned model stand."""

    def __init__(
        self, store: Store, name: str, *, evaluated: bool = True, architecture: str = "shapes", base: str | None = None
    ) -> None:
        stands_on = {} if base is None else {"config.json": content(base), "weights.safetensors": content(base)}
        self.base = None if base is None else base_folder(stands_on)
        made_from = {"of": name, **({"base": stands_on} if base else {})}
        self.reference_record = record(store, ModelRecord, "reference", made_from, sha256=content(f"r{name}"))
        self.pruned_record = record(
            store, ModelRecord, "pruned", {"reference": self.reference_record.key, "ratio": 0.5},
            sha256=content(f"p{name}"),
            files={
                "architecture": content(architecture), **({"base": self.base.split("/")[1]} if self.base else {})
            },
        )  # fmt: skip
        self.reference = f"reference/{content(f'r{name}')}/unet/config.json"
        self.pruned = f"pruned/{content(f'p{name}')}.safetensors"
        self.architecture = f"pruned/{content(architecture)}.json"
        self.statistics = f"statistics/{content(f's{name}')}.safetensors"
        record(store, StatisticsRecord, "statistics", {"of": name}, sha256=content(f"s{name}"))
        for key in (*self.keys, *(f"{self.base}/{file}" for file in stands_on)):
            store.write(key, b"x")
        if evaluated:
            spec = {"pruned": self.pruned_record.key, "members": ["a"], "how": {}}
            model = record(store, ModelRecord, "model", spec, sha256=content("weights"))
            drawn = record(store, SamplesRecord, "samples", {"model": model.key}, model=model.key, sha256=content("i"))
            score = {"subject": drawn.key, "property": {"name": "fid"}, "statistics": content(f"s{name}")}
            record(store, ScoreRecord, "score", score, subject=drawn.key, value=1.0)

    @property
    def keys(self) -> set[str]:
        return {self.reference, self.pruned, self.architecture, self.statistics}

    def publish(self, store: Store, study: str) -> None:
        table = io.BytesIO()
        pd.DataFrame({"model_key": [], "samples_key": []}).to_parquet(table)
        store.write(f"studies/{study}/{RUN}/evaluations.parquet", table.getvalue())
        manifest = {
            "created": "2026-01-01T00:00:00+00:00",
            "study": {"model": {"pretrained": None}},
            "reference": {"key": self.reference_record.key, "sha256": self.reference_record.sha256},
            "pruned": {"key": self.pruned_record.key, "sha256": self.pruned_record.sha256},
            "statistics": {"fid": self.statistics.split("/")[1].removesuffix(".safetensors")},
            "files": {"evaluations.parquet": {"sha256": sha256(table.getvalue())}},
        }
        store.write(f"studies/{study}/{RUN}/manifest.json", json.dumps(manifest).encode())


def freeze(store: Store, study: str, number: int, images: str) -> str:
    """An epoch, and the images that it froze. Returns their key."""
    store.write(f"data/{content(images)}.safetensors", b"x")
    fields = {
        "study": study, "number": number, "opened": "2026-01-01T00:00:00+00:00", "why": "a test",
        "reference": "a" * 64, "pruned": "b" * 64, "heldout": ("salt", 0.1), "contributors": 2,
        "data": {"preprocessing": 1, "resolution": 8, "train": [["c" * 64, 1.0]], "heldout": []},
        "pixels": content(images),
    }  # fmt: skip
    open_epoch(EpochRecord.model_validate_json(json.dumps(fields)), store)
    return f"data/{content(images)}.safetensors"


def test_what_people_keep_beside_statements_stays_and_only_a_killed_runs_half_statement_goes(store: Store) -> None:
    Made(store, "one").publish(store, "small")
    own = ["studies/small/archive/2025/a.pdf", "studies/small/slides/talk.html", "studies/small/20260101/x.csv"]
    half = "studies/small/20260102T000000Z-0123abcd/report.html"
    for key in (*own, half, "studies/small/notes.txt", "studies/small/latest.json"):
        store.write(key, b"x")
    said = verdicts(store)
    assert {said[key] for key in (*own, "studies/small/notes.txt")} == {(False, STRANGE)}
    assert said[half] == (True, UNFINISHED)
    assert said["studies/small/latest.json"] == said[f"studies/small/{RUN}/evaluations.parquet"] == (False, STATEMENT)


def test_retiring_epochs_keeps_what_a_run_rests_on_that_was_killed_before_its_first_statement(store: Store) -> None:
    Made(store, "published").publish(store, "small")
    killed = Made(store, "killed")
    said = verdicts(store)
    assert {said[key] for key in killed.keys - {killed.architecture}} == {(False, UNTOLD)}
    assert said[killed.architecture] == (False, NEEDED)  # both networks have these shapes


def test_retiring_epochs_keeps_an_architecture_that_a_killed_run_shares_with_a_retired_epoch(store: Store) -> None:
    Made(store, "kept", architecture="others").publish(store, "kept")
    retired, killed = Made(store, "retired"), Made(store, "killed")
    retired.publish(store, "small")
    said = verdicts(store, Rules(("kept",), retired_epochs=True, older_than_days=0))
    assert said[killed.architecture] == (False, UNTOLD)
    assert {said[key] for key in retired.keys - {retired.architecture}} == {(True, RETIRED)}


def test_retiring_epochs_lets_go_of_models_without_any_evaluation(store: Store) -> None:
    unused = Made(store, "never evaluated", evaluated=False)
    assert {verdicts(store)[key] for key in unused.keys} == {(True, RETIRED)}


def test_retiring_epochs_deletes_nothing_while_any_statement_cannot_be_read(store: Store) -> None:
    Made(store, "kept").publish(store, "kept")
    store.write(f"studies/other/{RUN}/manifest.json", b"{}")
    with pytest.raises(StoreError, match=r"is not known.*is not the manifest of a statement"):
        survey(store, Rules(("kept",), retired_epochs=True))


@pytest.mark.parametrize("retired", [False, True])
def test_the_images_of_each_studys_newest_epoch_stay_and_those_of_older_ones_go(store: Store, retired: bool) -> None:
    old, new = freeze(store, "small", 1, "old"), freeze(store, "small", 2, "new")
    other, nobodys = freeze(store, "other", 1, "other"), f"data/{content('nobody')}.safetensors"
    store.write(nobodys, b"x")
    said = verdicts(store, Rules(retired_epochs=retired, older_than_days=0))
    assert said[new] == (False, FROZEN.format(epoch="epoch 2 of small"))
    assert said[other] == (False, FROZEN.format(epoch="epoch 1 of other"))
    assert said[old] == said[nobodys] == (True, PREPARED)
    assert not any(key.startswith("epochs/") for key in said)  # its records are never looked at


def latents(store: Store, *, resolution: int = 8, digest: str = "c", encoder: str = "e") -> str:
    """Of one image, in store and ledger. Returns their key."""
    spec = latents_spec(encoder * 64, resolution, (digest * 64,))
    made = content(f"latents {resolution} {digest} {encoder}")
    record(store, LatentsRecord, "latents", spec, sha256=made)
    store.write(f"latents/{made}.safetensors", b"x")
    return f"latents/{made}.safetensors"


@pytest.mark.parametrize("retired", [False, True])
def test_latents_of_the_newest_epochs_images_stay_whatever_encoded_them_and_all_others_go(
    store: Store, retired: bool
) -> None:
    freeze(store, "small", 1, "images")  # one, of digest ccc…, 8 x 8
    kept = [latents(store), latents(store, encoder="f")]
    others = [latents(store, digest="d"), latents(store, resolution=16), f"latents/{content('nobodys')}.safetensors"]
    store.write(others[-1], b"x")
    rules = Rules(retired_epochs=retired, older_than_days=0)
    said = verdicts(store, rules)
    assert {said[key] for key in kept} == {(False, FROZEN.format(epoch="epoch 1 of small"))}
    assert {said[key] for key in others} == {(True, PREPARED)}
    clear(store, rules, "a test", print)
    assert sorted(store.list("latents")) == sorted(kept)


def test_a_base_stays_with_what_stands_on_it_and_goes_with_the_last_of_them(store: Store) -> None:
    kept = Made(store, "kept", base="shared")
    kept.publish(store, "kept")
    retired, alone = Made(store, "retired", base="shared"), Made(store, "alone", base="own")
    for made in (retired, alone):
        made.publish(store, made.reference_record.spec["of"])
    rules = Rules(("kept",), older_than_days=0)
    shared, own = f"{kept.base}/config.json", f"{alone.base}/config.json"
    said = verdicts(store, rules)
    assert (said[shared], said[own]) == ((False, NEEDED), (False, KNOWN))
    said = verdicts(store, Rules(("kept",), retired_epochs=True, older_than_days=0))
    assert (said[shared], said[own]) == ((False, NEEDED), (True, RETIRED))
    clear(store, Rules(("kept",), retired_epochs=True, older_than_days=0), "a test", print)
    assert store.list("base") == store.list(str(kept.base)) and len(store.list("base")) == 2


def test_retiring_epochs_keeps_the_base_of_a_run_that_was_killed_before_its_first_statement(store: Store) -> None:
    Made(store, "published").publish(store, "small")
    killed = Made(store, "killed", base="its own")
    assert verdicts(store)[f"{killed.base}/config.json"] == (False, UNTOLD)


def test_half_a_base_of_a_killed_run_goes_when_it_is_old_and_what_is_no_base_stays(store: Store) -> None:
    half, mine = f"base/{content('half')}/config.json", "base/mine/weights.bin"
    store.write(half, b"x")
    store.write(mine, b"x")
    assert verdicts(store, Rules())[half] == (False, YOUNG.format(days=7))
    assert (verdicts(store)[half], verdicts(store)[mine]) == ((True, UNKNOWN), (False, STRANGE))


@pytest.mark.parametrize("field", ["pretrained", "autoencoder"])
def test_a_base_in_the_store_that_a_kept_study_starts_from_stays(store: Store, field: str) -> None:
    made = Made(store, "one")
    made.publish(store, "small")
    base = f"base/{content('a base')}"
    store.write(f"{base}/config.json", b"x")
    key = f"studies/small/{RUN}/manifest.json"
    manifest = json.loads(store.read(key))
    manifest["study"]["model"][field] = store.where(base)
    store.write(key, json.dumps(manifest).encode())
    assert verdicts(store)[f"{base}/config.json"] == (False, NEEDED)


def test_an_epoch_that_cannot_be_read_stops_everything(store: Store) -> None:
    freeze(store, "small", 1, "images")
    store.write("epochs/small/00000002.json", b"{}")
    with pytest.raises(StoreError, match="is not an epoch"):
        survey(store, Rules())
