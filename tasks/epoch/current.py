"""The epoch of a run: looked up, or opened."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.epoch.choose import Choice, choose
from tasks.epoch.records import EpochRecord, open_epoch, read_epoch, read_epochs
from tasks.families.types import FamilyError
from tasks.frozen import Epoch, Frozen, epoch_at_hand, frozen_in_store
from tasks.images_gone import check_images
from tasks.model.parts import PipelineError
from tasks.partition import Partition
from tasks.recipe import Recipe, pruned_recipe
from tasks.reference.reference import SAME_PATH, reference_of
from tasks.study import Study


def look_up_epoch(
    study: Study, partition: Partition, data: Recipe, store: Store, *, new: bool = False
) -> tuple[Choice, Epoch]:
    """Which epoch a run of the study on these images would belong to. Nothing is opened: a new one has number 0.

    Args:
        data: recipe of the partition's images. new: a new epoch is asked for.

    Raises:
        StoreError: if an epoch's record cannot be read.
    """
    ledger = Ledger(store)

    def fits(record: EpochRecord) -> bool:
        if (record.data.preprocessing, record.data.resolution) != (data.spec["preprocessing"], data.spec["resolution"]):
            return False  # images of another size are others, and so is what is made from them
        return (record.reference, record.pruned) == keys_of(study, record.recipe)

    choice = choose(
        read_epochs(store, study.name),
        data,
        study.epoch,
        heldout=_heldout(study),
        fits=fits,
        trained=lambda record: ledger.get(ModelRecord, record.reference) is not None,
        now=datetime.now(UTC),
        new=new,
    )
    if choice.epoch is None:
        return choice, replace(epoch_at_hand(partition, data), why=choice.why)
    if choice.epoch.recipe.key == data.key:  # they are at hand
        return choice, replace(_epoch(choice.epoch, store), load=lambda: Frozen.of(partition, data))
    return choice, replace(_epoch(choice.epoch, store), drift=choice.drift)


def enter_epoch(
    study: Study, partition: Partition, data: Recipe, pixels: str, store: Store, *, new: bool = False
) -> tuple[Choice, Epoch]:
    """The same, and a new epoch is opened. Only for whoever holds the study's lease.

    Args:
        pixels: sha256 under which the images are in the store.
    """
    choice, epoch = look_up_epoch(study, partition, data, store, new=new)
    if choice.epoch is not None:
        return choice, epoch
    reference, pruned = keys_of(study, data)
    before = read_epochs(store, study.name)
    record = EpochRecord.model_validate(
        {
            "study": study.name,
            "number": before[-1].number + 1 if before else 1,
            "opened": datetime.now(UTC).replace(microsecond=0),
            "why": choice.why,
            "reference": reference,
            "pruned": pruned,
            "heldout": _heldout(study),
            "contributors": len(partition.contributors),
            "data": data.spec,
            "pixels": pixels,
        }
    )
    open_epoch(record, store)
    return choice, replace(_epoch(record, store), load=lambda: Frozen.of(partition, data))


def epoch_of_number(study: Study, number: int, store: Store) -> Epoch:
    """An epoch that was opened before, for whoever makes what it rests on.

    Raises:
        FileNotFoundError: if there is none of that number. StoreError: if it cannot be read.
    """
    return _epoch(read_epoch(store, study.name, number), store)


def _epoch(record: EpochRecord, store: Store) -> Epoch:
    recipe = record.recipe
    return Epoch(
        number=record.number,
        opened=record.opened.isoformat(),
        why=record.why,
        data=recipe,
        drift=0.0,
        load=lambda: frozen_in_store(recipe, record.pixels, record.name, store),
        check=partial(check_images, store, record.pixels),
    )


def keys_of(study: Study, data: Recipe) -> tuple[str, str]:
    """Keys of the reference and of the pruned model that a study would make from these images."""
    reference = reference_of(study, data)
    return reference.key, pruned_recipe(study.pruning, study.model, reference, data).key


def check_keys(study: Study, data: Recipe, reference: str, pruned: str) -> None:
    """Make sure that what would be made here is what is asked for, before anything is made.

    Args:
        reference, pruned: the keys that `keys_of` gave where the run was started; an empty one is not compared.

    Raises:
        FamilyError: if it is something else, or a given model is not there; names the settings and this worker.
    """
    settings = [f"model.{name}" for name in ("pretrained", "autoencoder") if getattr(study.model, name) is not None]
    given = " and ".join(f"{each} '{getattr(study.model, each.removeprefix('model.'))}'" for each in settings)
    worker = f"this worker ({platform.node()})"
    try:
        here = keys_of(study, data)
    except PipelineError as error:
        raise FamilyError(f"{given} cannot be read on {worker}: {error}. {SAME_PATH}") from error
    for what, mine, theirs in zip(("reference", "pruned model"), here, (reference, pruned), strict=True):
        if theirs and mine != theirs:
            why = f"{given} has other files there. {SAME_PATH}" if given else "it must run the driver's version"
            raise FamilyError(
                f"{worker} would make the {what} {mine[:12]}, and {theirs[:12]} is what the run needs: {why}"
            )


def _heldout(study: Study) -> tuple[str, float]:
    return study.data.heldout_salt, study.data.heldout_fraction
