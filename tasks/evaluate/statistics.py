"""Reference statistics of the properties: computed once from the real images, frozen, and named by their content.

ledger/statistics/<d>.json          (property, data) -> sha256
statistics/<sha256>.safetensors     Fréchet moments, cluster centres, held-out images, …
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import safetensors.numpy

from infra.digest import digest_of, sha256
from infra.ledger import Ledger, StatisticsRecord
from infra.provenance import now, provenance
from infra.store import Store
from tasks.frozen import Epoch
from tasks.model.threads import one_thread
from tasks.properties import Property, RealImages, resolve_property
from tasks.recipe import Recipe
from tasks.study import Study

NONE = sha256(b"")  # recorded where a property needs no statistics


def prepare_statistics(study: Study, epoch: Epoch, store: Store, say: Callable[[str], None]) -> dict[str, str | None]:
    """The sha256, and so the key, of each property's reference statistics; None where it needs none.

    Raises:
        ValueError: if a property does not exist, or these images, or so few drawn ones, do not allow it; before anything
            is trained.
        ImagesGone: if statistics are missing, and the epoch's images too, or these were removed meanwhile.
    """
    ledger = Ledger(store)
    digests: dict[str, str | None] = {}
    for name in study.properties.names:
        wanted = usable_property(name, study)
        record = recorded_statistics(wanted, epoch.data, ledger)
        if record is None:
            started = time.monotonic()
            content = compute_statistics(wanted, epoch.images.real, say)
            digest = sha256(content)
            epoch.check()
            if content:
                store.write(f"statistics/{digest}.safetensors", content)
            spec = _spec(wanted, epoch.data)
            record = ledger.record(
                StatisticsRecord(
                    key=digest_of("statistics", spec),
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


def usable_property(name: str, study: Study) -> Property:
    """The property of this name; ValueError if there is none, or the study draws too few images for it."""
    wanted = resolve_property(name, study.properties)
    if wanted.needs == "samples" and study.sampling.images < wanted.minimum_images:
        raise ValueError(
            f"{name} needs at least {wanted.minimum_images} images a coalition, sampling.images is "
            f"{study.sampling.images}: raise it"
        )
    return wanted


def recorded_statistics(wanted: Property, data: Recipe, ledger: Ledger) -> StatisticsRecord | None:
    """The record of a property's statistics of these data; None also if they were removed from the store since."""
    record = ledger.get(StatisticsRecord, digest_of("statistics", _spec(wanted, data)))
    if record is None or record.sha256 == NONE or ledger.store.exists(f"statistics/{record.sha256}.safetensors"):
        return record
    return None


def compute_statistics(wanted: Property, real: RealImages, say: Callable[[str], None]) -> bytes:
    """A property's statistics as they are stored; empty where it needs none. ValueError if the images do not allow it."""
    say(f"computing the reference statistics of {wanted.name} on {len(real.train)} training images")
    with one_thread():  # scores are keyed by what comes out, to the last bit
        arrays = wanted.statistics(real)
    return safetensors.numpy.save(arrays) if arrays else b""


def _spec(wanted: Property, data: Recipe) -> dict[str, Any]:
    return {"property": wanted.identity(), "data": data.key}
