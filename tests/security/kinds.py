"""Every kind of key that docs/storage.md names, and how what lies under it is read: by the code that runs read it with.

A kind is given as functions that lay what is planted where that code will look, with every digest that it will compare made
to fit (whoever can write may write digests too), and return the reading. What they read must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra import opt_outs, uploads
from infra.digest import canonical_json, digest_of, sha256
from infra.lease import Lease
from infra.ledger import LatentsRecord, Ledger, ModelRecord, Record, SamplesRecord, ScoreRecord, StatisticsRecord
from infra.names import key_part
from infra.packs import Packs
from infra.store import Entry, Store, StoreError
from tasks.epoch.records import read_epochs
from tasks.evaluate import weights
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Setting
from tasks.evaluate.shards import messages
from tasks.families.stored import latents_spec, prepared
from tasks.families.types import base_digest
from tasks.frozen import frozen_in_store
from tasks.housekeeping.needs import needs_of_statements
from tasks.housekeeping.types import Rules
from tasks.partition import DataError, partition
from tasks.reattribute.increment import asked_for
from tasks.recipe import VERSIONS
from tasks.reference.pruned import load_pruned
from tasks.reference.reference import load_reference
from tasks.reference.shown import recorded_shown, shown_recipe
from tasks.statements.read import latest_statement
from tasks.study import DataSpec, Study
from tasks.validate.storage import latest_validation, store_validation
from tests.epoch.test_choose import images
from tests.families.building import family_and_model, pixel_data, study_of
from tests.model.building import reference_recipe_of, tiny_study
from tests.statements.published import publish, statement
from tests.validate.made import RUN, build

D = "d" * 64
MADE: dict[str, Any] = {"seconds": 1.0, "created": "2026-01-01T00:00:00+00:00"}
Read = Callable[[], object]


@dataclass
class Planter:
    """Where things are planted. put: lays what is planted under a key. digest: its sha256."""

    store: Store
    put: Callable[[str], None]
    digest: str
    scratch: Path
    bases: Path


Plant = Callable[[Planter], Read]


def _at(key: str, read: Callable[[Store], object]) -> Plant:
    def plant(p: Planter) -> Read:
        p.put(key)
        return lambda: read(p.store)

    return plant


def _record(kind: type[Record], folder: str) -> Plant:
    return _at(f"ledger/{folder}/{D}.json", lambda store: Ledger(store).get(kind, D))


def _pack(p: Planter) -> Read:
    """A pack is a copy: one that is none is passed over, with a warning, and the records themselves are read."""
    p.put(f"packs/scores/{p.digest}.json")

    def read() -> None:
        if not Packs(p.store, "scores", {D: Entry(1, "1", None)}).load():
            raise StoreError(f"packs/scores/{p.digest}.json was passed over")

    return read


def _data(p: Planter) -> Read:
    p.put(f"data/{p.digest}.safetensors")
    return lambda: frozen_in_store(images("a"), p.digest, "epoch 1", p.store)


def _statistics(p: Planter) -> Read:
    p.put(f"statistics/{p.digest}.safetensors")
    setting = Setting(p.store.url, tiny_study(), D, (), [], D, {"frechet": p.digest})  # type: ignore[arg-type]
    return lambda: Evaluator(setting).statistics("frechet")


def _latents(p: Planter) -> Read:
    p.put(f"latents/{p.digest}.safetensors")
    data, model = pixel_data(), family_and_model("ldm", p.bases)[1]
    assert model.encoder
    spec = latents_spec(model.encoder, data.inputs.shape[1], data.digests)
    Ledger(p.store).record(LatentsRecord(key=digest_of("latents", spec), spec=spec, sha256=p.digest, **MADE))
    return lambda: prepared(data, model, p.store)


def _reference(name: str) -> Plant:
    """One file of a reference whose others are as they should be."""

    def plant(p: Planter) -> Read:
        family, model = family_and_model("ddpm", p.bases)
        family.save(model, p.scratch / "reference")
        files = p.store.upload_folder(p.scratch / "reference", f"reference/{D}")
        assert name in files
        p.put(f"reference/{D}/{name}")
        record = ModelRecord(key=D, spec={}, sha256=D, files={**files, name: p.digest}, **MADE)
        return lambda: load_reference(study_of("ddpm", p.bases), record, p.store)

    return plant


def _base(name: str) -> Plant:
    """One file of an autoencoder on which a reference stands."""

    def plant(p: Planter) -> Read:
        family, model = family_and_model("ldm", p.bases)
        base = family.base()
        assert base is not None and name in base.files
        family.save(model, p.scratch / "reference")
        files = p.store.upload_folder(p.scratch / "reference", f"reference/{D}")
        planted = {**base.files, name: p.digest}
        for each in base.files:
            p.store.write_file(f"base/{base_digest(planted)}/{each}", base.folder / each)
        p.put(f"base/{base_digest(planted)}/{name}")
        record = ModelRecord(key=D, spec={"base": planted}, sha256=D, files=files, **MADE)
        return lambda: load_reference(study_of("ldm", p.bases), record, p.store)

    return plant


def _checkpoint(p: Planter) -> Read:
    """An interrupted training: one that is none is reported, and training starts anew."""
    from tasks.reference.checkpoint import load_checkpoint

    key = f"reference/{D}/checkpoint.safetensors"
    p.put(key)

    def read() -> None:
        found = load_checkpoint(p.store, key)
        if found is not None and not found.tensors:
            raise StoreError(f"{key} is no state of a training")

    return read


def _pruned(part: str) -> Plant:
    def plant(p: Planter) -> Read:
        study = study_of("ddpm", p.bases)
        family, model = family_and_model("ddpm", p.bases)
        shapes = canonical_json(family.describe(model))
        p.store.write(f"pruned/{sha256(shapes)}.json", shapes)
        digests = {"safetensors": D, "json": sha256(shapes), part: p.digest}
        p.put(f"pruned/{p.digest}.{part}")
        spec = {"of": part}
        record = ModelRecord(
            key=digest_of("pruned", spec), spec=spec, sha256=digests["safetensors"],
            files={"architecture": digests["json"]}, **MADE,
        )  # fmt: skip
        Ledger(p.store).record(record)
        return lambda: load_pruned(study, record.key, p.store).model()

    return plant


def _weights(p: Planter) -> Read:
    p.put(f"models/{p.digest}.safetensors")
    model = family_and_model("ddpm", p.bases)[1]
    return lambda: weights.load(model, p.digest, p.store)


def _samples(p: Planter) -> Read:
    p.put(f"samples/{p.digest}.safetensors")
    study = tiny_study()
    reference = reference_recipe_of(study)
    recipe = shown_recipe(study, reference)
    Ledger(p.store).record(
        SamplesRecord(key=recipe.key, spec=recipe.spec, model=reference.key, sha256=p.digest, **MADE)
    )
    return lambda: recorded_shown(study, reference, p.store)


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
    "store.json": {"mark": _at("store.json", lambda store: store.check())},
    "ledger/models/<d>.json": {"record": _record(ModelRecord, "models")},
    "ledger/samples/<d>.json": {"record": _record(SamplesRecord, "samples")},
    "ledger/scores/<d>.json": {"record": _record(ScoreRecord, "scores")},
    "ledger/statistics/<d>.json": {"record": _record(StatisticsRecord, "statistics")},
    "ledger/latents/<d>.json": {"record": _record(LatentsRecord, "latents")},
    "packs/<kind>/<sha256>.json": {"pack": _pack},
    "epochs/<study>/<n>.json": {"epoch": _at("epochs/art/00000001.json", lambda store: read_epochs(store, "art"))},
    "data/<sha256>.safetensors": {"images": _data},
    "latents/<sha256>.safetensors": {"latents": _latents},
    "base/<sha256>/…": {
        "weights": _base("diffusion_pytorch_model.safetensors"),
        "config": _base("config.json"),
    },
    "reference/<sha256>/…": {
        "weights": _reference("unet/diffusion_pytorch_model.safetensors"),
        "config": _reference("unet/config.json"),
        "schedule": _reference("scheduler/scheduler_config.json"),
        "checkpoint": _checkpoint,
    },
    "pruned/<sha256>.safetensors": {"weights": _pruned("safetensors")},
    "pruned/<sha256>.json": {"shapes": _pruned("json")},
    "statistics/<sha256>.safetensors": {"statistics": _statistics},
    "models/<sha256>.safetensors": {"weights": _weights},
    "samples/<sha256>.safetensors": {"images": _samples},
    "shards/…": {
        "shard": _shard,
        "setting": _setting,
        "ownership": _ownership,
        "report": _at("shards/reports/00000000-0000-0000-0000-000000000000.json", _report),
    },
    "leases/<study>/<number>.json": {"lease": _at("leases/art/00000001.json", _lease)},
    "studies/<study>/<run>/…": {
        "manifest": _statement("manifest.json", lambda store: latest_statement(store, "art")),
        "credits": _statement("credits.parquet", lambda store: latest_statement(store, "art")),
        "evaluations": _statement("evaluations.parquet", _asked_for),
        "evaluations-when-tidying": _statement("evaluations.parquet", _needs),
    },
    "studies/<study>/latest.json": {
        "latest": _at("studies/art/latest.json", lambda store: latest_statement(store, "art"))
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
