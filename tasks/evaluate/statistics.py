"""Reference statistics of the properties: computed once from the real images, frozen, and named by their content.

ledger/statistics/<d>.json          (property, data) -> sha256
statistics/<sha256>.safetensors     Fréchet moments, cluster centres, held-out images, …
"""

from __future__ import annotations

import time
from collections.abc import Callable

import safetensors.numpy

from infra.digest import digest_of, sha256
from infra.ledger import Ledger, StatisticsRecord
from infra.provenance import now, provenance
from infra.store import Store
from tasks.partition import Partition
from tasks.properties import RealImages, resolve_property
from tasks.recipe import Recipe
from tasks.study import Study

NONE = sha256(b"")  # recorded where a property needs no statistics


def prepare_statistics(
    study: Study, partition: Partition, data: Recipe, store: Store, say: Callable[[str], None]
) -> dict[str, str | None]:
    """The sha256, and so the key, of each property's reference statistics; None where it needs none.

    Raises:
        ValueError: if a property does not exist, or these images, or so few drawn ones, do not allow it; before anything
            is trained.
    """
    ledger = Ledger(store)
    real = RealImages(partition.train_pixels, partition.heldout_pixels, partition.heldout_digests)
    digests: dict[str, str | None] = {}
    for name in study.properties.names:
        wanted = resolve_property(name, study.properties)
        if wanted.needs == "samples" and study.sampling.images < wanted.minimum_images:
            raise ValueError(
                f"{name} needs at least {wanted.minimum_images} images a coalition, sampling.images is "
                f"{study.sampling.images}: raise it"
            )
        spec = {"property": wanted.identity(), "data": data.key}
        key = digest_of("statistics", spec)
        record = ledger.get(StatisticsRecord, key)
        if record is None:
            say(f"computing the reference statistics of {name} on {len(real.train)} training images")
            started = time.monotonic()
            arrays = wanted.statistics(real)
            content = safetensors.numpy.save(arrays) if arrays else b""
            digest = sha256(content)
            if arrays:
                store.write(f"statistics/{digest}.safetensors", content)
            record = ledger.record(
                StatisticsRecord(
                    key=key,
                    spec=spec,
                    sha256=digest,
                    seconds=time.monotonic() - started,
                    created=now(),
                    provenance=provenance("cpu"),
                )
            )
            say(f"reference statistics of {name}: {record.seconds:.1f} s")
        digests[name] = None if record.sha256 == NONE else record.sha256
    return digests
