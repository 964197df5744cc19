"""Who was in a study before: names and sizes of contributors by fingerprint, from the statements it has published.

A ledger's record says which data were in a coalition (fingerprints), not whose they were when: names change, data change.
The manifest of every statement says both together, so the newest statement that lists a fingerprint knows its owner best.
What no statement lists (a run that never published) has no known owner.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import AwareDatetime, BaseModel, Field

from infra.ledger import Digest
from infra.store import Store
from tasks.partition import Partition
from tasks.publish.storage import MANIFEST, read_manifest


@dataclass(frozen=True)
class Earlier:
    """A contributor as the newest statement that lists this fingerprint has it."""

    name: str
    images: float  # sum of shares over training images


class _Contributor(BaseModel):
    name: str
    fingerprint: Digest
    images: float = Field(gt=0, allow_inf_nan=False)


class _Manifest(BaseModel):
    """The little that is read of a manifest; the rest is for people."""

    created: AwareDatetime
    contributors: list[_Contributor]


def earlier_contributors(store: Store, study_name: str) -> dict[str, Earlier]:
    """Every fingerprint that a statement of this study ever listed, with its newest known owner.

    Two owners of exactly the same images and shares have one fingerprint; the first of them by name stands for both.

    Raises:
        StoreError: if a manifest cannot be read as one. Passing over it could take an owner's changed images for those of
            somebody who left.
    """
    prefix = f"studies/{study_name}/"
    parts = (key.removeprefix(prefix).split("/") for key in store.list(prefix.rstrip("/")))
    runs = [part[0] for part in parts if len(part) == 2 and part[1] == MANIFEST]
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        manifests = list(pool.map(lambda run: read_manifest(store, f"{prefix}{run}", _Manifest), runs))
    found: dict[str, Earlier] = {}
    for _, manifest in sorted(zip(runs, manifests, strict=True), key=lambda pair: (pair[1].created, pair[0])):
        for c in sorted(manifest.contributors, key=lambda c: c.name, reverse=True):
            found[c.fingerprint] = Earlier(c.name, c.images)
    return found


def owners_of(store: Store, study_name: str) -> dict[str, str]:
    """Fingerprint -> newest known name; raises as `earlier_contributors`."""
    return {key: earlier.name for key, earlier in earlier_contributors(store, study_name).items()}


def earlier_sizes(store: Store, study_name: str) -> dict[str, float]:
    """Fingerprint -> training images, as a sum of shares; raises as `earlier_contributors`."""
    return {key: earlier.images for key, earlier in earlier_contributors(store, study_name).items()}


def sizes_with_former(partition: Partition, former: Sequence[str], known: Mapping[str, float]) -> np.ndarray:
    """float64 [contributors + former]: training images by column; the contributors' mean where nothing is known.

    Args:
        former: fingerprints of the leavers, in the order of their columns.
        known: training images by fingerprint, as from `earlier_sizes`.
    """
    present = [c.images for c in partition.contributors]
    return np.array([*present, *(known.get(fingerprint, float(np.mean(present))) for fingerprint in former)])
