"""Step 2: the reference model, trained on everybody's images, or given. Once an epoch.

A training is saved as it goes; a run that was killed goes on from the last save and ends with the same weights as one that
was not. The result is a folder in the store that plain diffusers loads.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from infra.digest import canonical_json, sha256, sha256_of_file
from infra.ledger import Ledger, ModelRecord
from infra.provenance import now, provenance
from infra.store import NOBODYS_FAULT, Store, StoreError, scratch_folder
from tasks.families import Family, family_of
from tasks.families.stored import base_is_stored, base_of, fetch_base, prepared, store_base
from tasks.families.types import FamilyError
from tasks.images_gone import Check, look_again, nobodys
from tasks.model.memory import machines_fault
from tasks.model.model import Model
from tasks.model.parts import PipelineError
from tasks.model.speed import prepare_for_training
from tasks.model.threads import device_of
from tasks.model.train import Progress, TrainingData
from tasks.recipe import Recipe, reference_recipe, reference_training
from tasks.reference.checkpoint import Say, train_resumable
from tasks.study import Study

SAME_PATH = "Bring the same files to the same path on every GPU worker, or give the model by its hub id"


def obtain_reference(
    study: Study,
    recipe: Recipe,
    data: Callable[[], TrainingData],
    store: Store,
    *,
    say: Say,
    progress: Progress | None = None,
    check: Check = nobodys,
) -> ModelRecord:
    """The reference of this recipe: from the store, or trained (or brought in) and stored.

    Args:
        data: brings everybody's images; asked only if there is something to train.
        check: raises ImagesGone if what is made of them may no longer be kept.

    Raises:
        Diverged: if training produced numbers that are not finite.
        ImagesGone: if the images were removed meanwhile, up to the end of training.
        LedgerConflict: if one that had been removed from the store came out otherwise this time.
        StoreError: if other files lie where it belongs; they are left alone.
    """
    ledger = Ledger(store)
    known = ledger.get(ModelRecord, recipe.key)
    if known is not None and reference_is_stored(known, store):
        say(f"reference {recipe.key[:12]} is in the store: nothing to train")
        return known
    if known is not None:
        say(f"reference {recipe.key[:12]} was removed from the store: it is made again, and must come out the same")
    started = time.monotonic()
    family = family_of(study.model)
    if (base := family.base()) is not None:
        store_base(base, store, say)
    checkpoint = f"reference/{recipe.key}/checkpoint.safetensors"
    device = device_of(study.execution.device)
    model = family.build().to(device)
    if family.trains:
        prepare_for_training(model, study.execution)
        train_resumable(
            model,
            prepared(data(), model, store, say, check),
            reference_training(study.model),
            device=device,
            store=store,
            key=checkpoint,
            every_seconds=study.execution.checkpoint_seconds,
            say=say,
            progress=progress,
            check=check,
        )
        look_again(check, store, checkpoint)
    with scratch_folder() as folder:
        family.save(model, Path(folder))
        name = _free_name(Path(folder), family, known, store)
        files = store.upload_folder(Path(folder), f"reference/{name}")
    record = ledger.record(
        ModelRecord(
            key=recipe.key,
            spec=recipe.spec,
            seconds=time.monotonic() - started,
            created=now(),
            provenance=provenance(device),
            sha256=name,
            files=files,
        )
    )
    store.delete(checkpoint)
    return record


def reference_of(study: Study, data: Recipe) -> Recipe:
    """The recipe of a study's reference on these images; a given pipeline is read for its digests."""
    return reference_recipe(study.model, data, family_of(study.model).given())


def check_given(study: Study, pruned_key: str, store: Store) -> None:
    """Make sure that on this machine model.pretrained is what the pruned model's reference was made from: its weights are
    about to be used under that reference's key.

    Raises:
        FamilyError: if it is something else, or not there; names the setting and the machine.
        FileNotFoundError: if the ledger does not know the pruned model or its reference.
    """
    ledger = Ledger(store)
    pruned = ledger.get(ModelRecord, pruned_key)
    reference = None if pruned is None else ledger.get(ModelRecord, pruned.spec["reference"])
    if reference is None:
        raise FileNotFoundError(f"{store.where(f'pruned/{pruned_key}')}: the ledger does not know it or its reference")
    made_from = reference.spec.get("pretrained")
    if made_from is None:  # nothing of it is read again
        return
    what, machine = f"model.pretrained '{study.model.pretrained}'", platform.node()
    try:
        here = family_of(study.model).given()
    except PipelineError as error:
        raise FamilyError(f"{what} is needed on this machine ({machine}), and cannot be read: {error}") from error
    if here is None or dict(here) != made_from:
        raise FamilyError(
            f"{what} is not on this machine ({machine}) what the study's reference was made from. {SAME_PATH}"
        )


def reference_folder(record: ModelRecord) -> str:
    """Where in the store the pipeline folder of a recorded reference is."""
    return f"reference/{record.sha256}"


def reference_is_stored(record: ModelRecord, store: Store) -> bool:
    """Whether every file of a recorded reference is there; what has been tidied away leaves its record behind."""
    folder, base = reference_folder(record), base_of(record.spec)
    there = {f"{folder}/{name}" for name in record.files} <= set(store.list(folder))
    return there and (base is None or base_is_stored(base, store))


def load_reference(study: Study, record: ModelRecord, store: Store) -> Model:
    """The stored reference, each file checked against its digest.

    Raises:
        FileNotFoundError: if a file is not there.
        StoreError: if one is not what was recorded, or they are no reference of the study's family.
    """
    with scratch_folder() as folder, fetch_base(base_of(record.spec), store) as base:
        store.download_folder(reference_folder(record), Path(folder), record.files)
        try:
            return family_of(study.model).load(Path(folder), base)
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:  # of many libraries
            if isinstance(error, StoreError) or machines_fault(error):
                raise
            where = store.where(reference_folder(record))
            raise StoreError(f"{where} holds no reference of the family '{study.model.family}': {error}") from error


def _free_name(folder: Path, family: Family, known: ModelRecord | None, store: Store) -> str:
    """What a reference's folder in the store is called, by content: two runs that train the same reference and get other
    bits cannot overwrite each other's.

    Weights that were trained here tell a reference from every other, and their digest is its name. Those that are given can
    come with another schedule or autoencoder elsewhere: where there is a base, or the name is taken, all files count.
    """
    files = {p.relative_to(folder).as_posix(): sha256_of_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    weights, whole = files[family.weights_file], sha256(canonical_json(files))
    names: tuple[str, ...] = (weights, whole)
    if known is not None:  # made again: where its record says
        names = (whole,) if known.sha256 == whole else (weights,)
    elif not family.trains and family.base() is not None:
        names = (whole,)
    for name in names:
        if _holds_nothing_else(f"reference/{name}", files, store):
            return name
    raise StoreError(
        f"{store.where(f'reference/{names[-1]}')} holds files of another reference, or damaged ones; they are not "
        "overwritten. If no record names them, delete the folder to have this reference made"
    )


def _holds_nothing_else(prefix: str, files: dict[str, str], store: Store) -> bool:
    """Whether what of these files lies below a prefix has their content."""
    for key in store.list(prefix):
        expected = files.get(key.removeprefix(f"{prefix}/"))
        if expected is None:
            continue
        with scratch_folder() as scratch:
            try:
                store.read_file(key, Path(scratch) / "file", expected)
            except NOBODYS_FAULT:  # which says nothing about what lies there
                raise
            except StoreError:
                return False
    return True
