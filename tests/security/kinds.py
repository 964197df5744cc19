"""Every kind of key that docs/storage.md names, and how what lies under it is read: by the code that runs read it with.

A kind is given as functions that lay what is planted where that code will look, with every digest that it will compare made
to fit (whoever can write may write digests too), and return the reading. What they read must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from infra import opt_outs, uploads
from infra.digest import canonical_json, sha256
from infra.lease import Lease
from infra.ledger import LatentsRecord, ModelRecord, SamplesRecord, ScoreRecord, StatisticsRecord
from infra.names import key_part
from infra.store import Store, StoreError
from tasks.epoch.records import read_epochs
from tasks.evaluate.shards import messages
from tasks.housekeeping.needs import needs_of_statements
from tasks.housekeeping.types import Rules
from tasks.partition import DataError, partition
from tasks.reattribute.increment import asked_for
from tasks.recipe import VERSIONS
from tasks.statements.read import latest_statement
from tasks.study import DataSpec, Study
from tasks.validate.storage import latest_validation, store_validation
from tests.security.planters import (
    D,
    Plant,
    Planter,
    Read,
    plant_at,
    plant_base,
    plant_checkpoint,
    plant_data,
    plant_latents,
    plant_pack,
    plant_pruned,
    plant_record,
    plant_reference,
    plant_samples,
    plant_statistics,
    plant_weights,
)
from tests.statements.published import publish, statement
from tests.validate.made import RUN, build


def _shard(p: Planter) -> Read:
    p.put(f"shards/{p.digest}.json")
    return lambda: messages.load_shard(p.digest, p.store)


def _setting(p: Planter) -> Read:
    p.put(f"shards/settings/{p.digest}.json")
    return lambda: messages.load_setting(p.digest, p.store)


def _ownership(p: Planter) -> Read:
    p.put(f"shards/settings/{p.digest}.safetensors")
    message = messages.SettingMessage(
        versions=VERSIONS, study=Study(), data_sha256=D, train_digests=(), ownership=p.digest, pruned_key=D,
        statistics={},
    )  # fmt: skip
    data = canonical_json(message.model_dump(mode="json"))
    p.store.write(f"shards/settings/{sha256(data)}.json", data)
    return lambda: messages.load_setting(sha256(data), p.store)


def _report(store: Store) -> object:
    return messages.load_report("0" * 32, D, 1, store)


def _lease(store: Store) -> object:
    with Lease(store, "art", "me") as lease:
        return lease


def _statement(name: str, read: Callable[[Store], object]) -> Plant:
    """A file of a statement, all digests made to fit."""

    def plant(p: Planter) -> Read:
        folder = publish(statement(("a", "1"), ("b", "2")), p.store)
        p.put(f"{folder}/{name}")
        if name == "manifest.json":
            digest = p.digest
        else:
            manifest = json.loads(p.store.read(f"{folder}/manifest.json"))
            manifest["files"].setdefault(name, {})["sha256"] = p.digest
            manifest |= {"reference": {"key": D, "sha256": D}, "pruned": {"key": D, "sha256": D}, "statistics": {}}
            data = json.dumps(manifest).encode()
            digest = sha256(data)
            p.store.write(f"{folder}/manifest.json", data)
        p.store.write("studies/art/latest.json", canonical_json({"run": "one", "manifest_sha256": digest}))
        return lambda: read(p.store)

    return plant


def _asked_for(store: Store) -> object:
    found = latest_statement(store, "art")
    assert found is not None
    return asked_for(found, store)


def _needs(store: Store) -> object:
    return needs_of_statements(store, Rules(studies=("art",)), {}, {})


def _validation(p: Planter) -> Read:
    store_validation(build(), {}, p.store)
    p.put(f"validations/openmoji/{RUN}/validation.json")
    p.store.write("validations/openmoji/latest.json", canonical_json({"run": RUN, "sha256": p.digest}))
    return lambda: latest_validation(p.store, "openmoji")


def _latest_validation(p: Planter) -> Read:
    store_validation(build(), {}, p.store)
    p.put("validations/openmoji/latest.json")
    return lambda: latest_validation(p.store, "openmoji")


PERSON = "Emily Jäger"


def _upload(p: Planter) -> Read:
    """The manifest of an upload: one that is none is set aside with the reason."""
    folder = f"uploads/spring/{key_part(PERSON)}/{D}"
    p.store.write(f"{folder}/files/{D}", b"x")
    p.put(f"{folder}/{uploads.COMPLETE}")

    def read() -> None:
        found = uploads.find_uploads(p.store, "spring")
        if not found.complete:
            raise StoreError(found.refused[folder])

    return read


def _handed_in(name: str) -> Plant:
    """A file of a complete upload, read as what its name says: no image of it gets in."""

    def plant(p: Planter) -> Read:
        size = 2**30 if p.digest == D else None  # what is planted there is a hole; the manifest may lie about it
        key = f"uploads/spring/{key_part(PERSON)}"
        p.put(f"{key}/planted")
        size = size or p.store.entries(key)[f"{key}/planted"].size
        p.store.delete(f"{key}/planted")
        upload = uploads.Upload.model_validate(
            {
                "collection": "spring",
                "contributor": PERSON,
                "files": ({"name": name, "sha256": p.digest, "size": size},),
            }
        )
        p.put(f"{upload.folder}/files/{p.digest}")
        p.store.write(f"{upload.folder}/{uploads.COMPLETE}", canonical_json(upload.model_dump(mode="json")))

        def read() -> None:
            try:
                partition(DataSpec(url="uploads:spring"), 8)
            except DataError as error:
                raise StoreError(str(error)) from error

        return read

    return plant


def _opt_out(p: Planter) -> Read:
    p.put(f"opt-outs/{key_part(PERSON)}/00000001.json")
    return lambda: opt_outs.opted_out(p.store)


def _removal(p: Planter) -> Read:
    record = opt_outs.OptOut(contributor=PERSON, event="left", when=datetime(2026, 1, 1, tzinfo=UTC), by="her letter")
    opt_outs.add(p.store, record, 1)
    p.put(f"opt-outs/{key_part(PERSON)}/00000001.log.json")
    return lambda: opt_outs.removal(p.store, PERSON, 1)


KINDS: dict[str, dict[str, Plant]] = {
    "store.json": {"mark": plant_at("store.json", lambda store: store.check())},
    "ledger/models/<d>.json": {"record": plant_record(ModelRecord, "models")},
    "ledger/samples/<d>.json": {"record": plant_record(SamplesRecord, "samples")},
    "ledger/scores/<d>.json": {"record": plant_record(ScoreRecord, "scores")},
    "ledger/statistics/<d>.json": {"record": plant_record(StatisticsRecord, "statistics")},
    "ledger/latents/<d>.json": {"record": plant_record(LatentsRecord, "latents")},
    "packs/<kind>/<sha256>.json": {"pack": plant_pack},
    "epochs/<study>/<n>.json": {"epoch": plant_at("epochs/art/00000001.json", lambda store: read_epochs(store, "art"))},
    "data/<sha256>.safetensors": {"images": plant_data},
    "latents/<sha256>.safetensors": {"latents": plant_latents},
    "base/<sha256>/…": {
        "weights": plant_base("diffusion_pytorch_model.safetensors"),
        "config": plant_base("config.json"),
    },
    "reference/<sha256>/…": {
        "weights": plant_reference("unet/diffusion_pytorch_model.safetensors"),
        "config": plant_reference("unet/config.json"),
        "schedule": plant_reference("scheduler/scheduler_config.json"),
        "checkpoint": plant_checkpoint,
    },
    "pruned/<sha256>.safetensors": {"weights": plant_pruned("safetensors")},
    "pruned/<sha256>.json": {"shapes": plant_pruned("json")},
    "statistics/<sha256>.safetensors": {"statistics": plant_statistics},
    "models/<sha256>.safetensors": {"weights": plant_weights},
    "samples/<sha256>.safetensors": {"images": plant_samples},
    "shards/…": {
        "shard": _shard,
        "setting": _setting,
        "ownership": _ownership,
        "report": plant_at("shards/reports/00000000-0000-0000-0000-000000000000.json", _report),
    },
    "leases/<study>/<number>.json": {"lease": plant_at("leases/art/00000001.json", _lease)},
    "studies/<study>/<run>/…": {
        "manifest": _statement("manifest.json", lambda store: latest_statement(store, "art")),
        "credits": _statement("credits.parquet", lambda store: latest_statement(store, "art")),
        "evaluations": _statement("evaluations.parquet", _asked_for),
        "evaluations-when-tidying": _statement("evaluations.parquet", _needs),
    },
    "studies/<study>/latest.json": {
        "latest": plant_at("studies/art/latest.json", lambda store: latest_statement(store, "art"))
    },
    "studies/<study>/history.html": {},  # is written for people, and never read
    "validations/<study>/<run>/…": {"validation": _validation},
    "validations/<study>/latest.json": {"latest": _latest_validation},
    "uploads/<collection>/<contributor>/<upload>/…": {
        "manifest": _upload,
        "image": _handed_in("cat.png"),
        "table": _handed_in("metadata.parquet"),
        "table-of-lines": _handed_in("metadata.jsonl"),
    },
    "opt-outs/<contributor>/<number>.json": {"record": _opt_out},
    "opt-outs/<contributor>/<number>.log.json": {"log": _removal},
}
