"""How many bytes a run adds to the store, as far as that is known before there is a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import safetensors.numpy

from infra.digest import sha256
from infra.ledger import ModelRecord
from infra.store import Store
from tasks.families import Family, family_of
from tasks.families.stored import base_folder, latents_are_stored
from tasks.model.model import Model
from tasks.partition import Partition
from tasks.preview.types import Storage
from tasks.recipe import Recipe
from tasks.reference.pruned import pruned_files
from tasks.study import Study


def storage_of(
    study: Study,
    partition: Partition,
    frozen: Recipe,
    model: Model | None,
    *,
    reference_there: bool,
    pruned: ModelRecord | None,
    fine_tunes: bool,
    needs_images: bool,
    store: Store,
) -> Storage:
    """Bytes of each thing that a run of this study stores.

    Args:
        frozen: recipe of the epoch's images. model: what the reference starts from, where the family stands on a base.
        pruned: the pruned model's record, if it is there. fine_tunes: whether a coalition is to be trained.
        needs_images: whether a property is scored on drawn images.
    """
    content = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in partition.stored().items()})
    side, limit = study.model.resolution, study.execution.keep_weights_below_mb * 2**20
    family = family_of(study.model)
    trained = family.parameters() if model is None else sum(p.numel() for p in model.trainable().values())
    network = None if reference_there and pruned is not None else 4 * trained  # bytes, before anything is pruned
    if pruned is not None:
        weights = store.entries("pruned")[pruned_files(pruned)[0]].size
        kept: int | None = weights if weights < limit else 0
    else:  # what pruning leaves is known when it is done; it is not more
        kept = network if network is not None and network < limit else (0 if limit == 0 else None)
    encoded = {tuple(partition.train_digests)} if fine_tunes else set()
    if pruned is None or (family.trains and not reference_there):
        encoded.add(tuple(digest for digest, _ in frozen.spec["train"]))
    return Storage(
        images=0 if store.exists(f"data/{sha256(content)}.safetensors") else len(content),
        models=None if network is None else network * ((not reference_there) + (pruned is None)),
        weights=kept,
        weights_exact=pruned is not None,
        samples=study.sampling.images * side * side * 3 if needs_images else 0,
        base=0 if reference_there else _of_base(family, store),
        latents=0 if model is None else _of_latents(model, side, encoded, store),
    )


def _of_base(family: Family, store: Store) -> int:
    """Bytes of the family's base that are not in the store."""
    base = family.base()
    if base is None:
        return 0
    folder = base_folder(base.files)
    there = set(store.list(folder))
    return sum((base.folder / name).stat().st_size for name in base.files if f"{folder}/{name}" not in there)


def _of_latents(model: Model, side: int, encoded: Collection[Sequence[str]], store: Store) -> int:
    """Bytes of the latents that are not in the store, float32. encoded: digests of each list of images that is needed."""
    if not model.encoder:
        return 0
    missing = [digests for digests in encoded if not latents_are_stored(model.encoder, side, digests, store)]
    return sum(4 * len(digests) * math.prod(model.shape) for digests in missing)
