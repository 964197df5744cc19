"""What it costs that a statement stands on an epoch that opened earlier: whom it has not seen, and whom it still holds."""

from __future__ import annotations

import numpy as np

from tasks.frozen import Epoch
from tasks.partition import Partition
from tasks.statements.types import EpochStanding

SEEN = 0.5  # part of somebody's training images below which the pruned model counts as not knowing them


def epoch_standing(epoch: Epoch, partition: Partition) -> EpochStanding:
    """The epoch beside today's contributors.

    An image that several people own counts for each with their share; what an owner less leaves of its weight is nobody's.
    """
    then = {str(digest): float(weight) for digest, weight in epoch.data.spec["train"]}
    known = np.array([digest in then for digest in partition.train_digests], dtype=bool)
    owned = partition.ownership.sum(axis=0)
    seen = partition.ownership[known].sum(axis=0)
    now = dict(zip(partition.train_digests, partition.ownership.sum(axis=1).tolist(), strict=True))
    lost = sum(max(0.0, weight - now.get(digest, 0.0)) for digest, weight in then.items())
    total = sum(then.values())
    return EpochStanding(
        number=epoch.number,
        opened=epoch.opened,
        why=epoch.why,
        drift=epoch.drift,
        unseen={
            c.name: float(seen[i] / owned[i])
            for i, c in enumerate(partition.contributors)
            if owned[i] > 0 and seen[i] < SEEN * owned[i]
        },
        left=lost / total if lost > 1e-9 * total else 0.0,  # weights in a recipe are rounded
    )
