"""Planting where models and what they are made of are read: weights, images, statistics, and records of all of it.

Each function lays what is planted where the code will look, with every digest that it will compare made to fit, and returns
the reading (tests.security.kinds).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.digest import canonical_json, digest_of, sha256
from infra.ledger import LatentsRecord, Ledger, ModelRecord, Record, SamplesRecord
from infra.packs import Packs
from infra.store import Entry, Store, StoreError
from tasks.evaluate import weights
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Setting
from tasks.families.stored import latents_spec, prepared
from tasks.families.types import base_digest
from tasks.frozen import frozen_in_store
from tasks.reference.pruned import load_pruned
from tasks.reference.reference import load_reference
from tasks.reference.shown import recorded_shown, shown_recipe
from tests.epoch.test_choose import images
from tests.families.building import family_and_model, pixel_data, study_of
from tests.model.building import reference_recipe_of, tiny_study

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


def plant_at(key: str, read: Callable[[Store], object]) -> Plant:
    def plant(p: Planter) -> Read:
        p.put(key)
        return lambda: read(p.store)

    return plant


def plant_record(kind: type[Record], folder: str) -> Plant:
    return plant_at(f"ledger/{folder}/{D}.json", lambda store: Ledger(store).get(kind, D))


def plant_pack(p: Planter) -> Read:
    """A pack is a copy: one that is none is passed over, with a warning, and the records themselves are read."""
    p.put(f"packs/scores/{p.digest}.json")

    def read() -> None:
        if not Packs(p.store, "scores", {D: Entry(1, "1", None)}).load():
            raise StoreError(f"packs/scores/{p.digest}.json was passed over")

    return read


def plant_data(p: Planter) -> Read:
    p.put(f"data/{p.digest}.safetensors")
    return lambda: frozen_in_store(images("a"), p.digest, "epoch 1", p.store)


def plant_statistics(p: Planter) -> Read:
    p.put(f"statistics/{p.digest}.safetensors")
    setting = Setting(p.store.url, tiny_study(), D, (), [], D, {"frechet": p.digest})  # type: ignore[arg-type]
    return lambda: Evaluator(setting).statistics("frechet")


def plant_latents(p: Planter) -> Read:
    p.put(f"latents/{p.digest}.safetensors")
    data, model = pixel_data(), family_and_model("ldm", p.bases)[1]
    assert model.encoder
    spec = latents_spec(model.encoder, data.inputs.shape[1], data.digests)
    Ledger(p.store).record(LatentsRecord(key=digest_of("latents", spec), spec=spec, sha256=p.digest, **MADE))
    return lambda: prepared(data, model, p.store)


def plant_reference(name: str) -> Plant:
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


def plant_base(name: str) -> Plant:
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


def plant_checkpoint(p: Planter) -> Read:
    """An interrupted training: one that is none is reported, and training starts anew."""
    from tasks.reference.checkpoint import load_checkpoint

    key = f"reference/{D}/checkpoint.safetensors"
    p.put(key)

    def read() -> None:
        found = load_checkpoint(p.store, key)
        if found is not None and not found.tensors:
            raise StoreError(f"{key} is no state of a training")

    return read


def plant_pruned(part: str) -> Plant:
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


def plant_weights(p: Planter) -> Read:
    p.put(f"models/{p.digest}.safetensors")
    model = family_and_model("ddpm", p.bases)[1]
    return lambda: weights.load(model, p.digest, p.store)


def plant_samples(p: Planter) -> Read:
    p.put(f"samples/{p.digest}.safetensors")
    study = tiny_study()
    reference = reference_recipe_of(study)
    recipe = shown_recipe(study, reference)
    Ledger(p.store).record(
        SamplesRecord(key=recipe.key, spec=recipe.spec, model=reference.key, sha256=p.digest, **MADE)
    )
    return lambda: recorded_shown(study, reference, p.store)
