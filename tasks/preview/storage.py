"""How many bytes a run adds to the store, as far as that is known before there is a model."""

from __future__ import annotations

import numpy as np
import safetensors.numpy

from infra.digest import sha256
from infra.ledger import ModelRecord
from infra.store import Store
from tasks.families import family_of
from tasks.partition import Partition
from tasks.preview.types import Storage
from tasks.reference.pruned import pruned_files
from tasks.study import Study


def storage_of(
    study: Study,
    partition: Partition,
    *,
    reference_there: bool,
    pruned: ModelRecord | None,
    needs_images: bool,
    store: Store,
) -> Storage:
    """Bytes of each thing that a run of this study stores.

    Args:
        pruned: the pruned model's record, if it is there.
        needs_images: whether a property is scored on drawn images.
    """
    content = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in partition.stored().items()})
    side, limit = study.model.resolution, study.execution.keep_weights_below_mb * 2**20
    # Four bytes for each number of the unpruned network.
    network = None if reference_there and pruned is not None else 4 * family_of(study.model).parameters()
    if pruned is not None:
        weights = store.entries("pruned")[pruned_files(pruned)[0]].size
        kept: int | None = weights if weights < limit else 0
    else:  # what pruning leaves is known when it is done; it is not more
        kept = network if network is not None and network < limit else (0 if limit == 0 else None)
    return Storage(
        images=0 if store.exists(f"data/{sha256(content)}.safetensors") else len(content),
        models=None if network is None else network * ((not reference_there) + (pruned is None)),
        weights=kept,
        weights_exact=pruned is not None,
        samples=study.sampling.images * side * side * 3 if needs_images else 0,
    )
