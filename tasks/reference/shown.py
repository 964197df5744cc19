"""A few images of the reference model, for people to look at; drawn once, where the card is."""

from __future__ import annotations

import contextlib
import time

import numpy as np

from infra.ledger import Ledger, ModelRecord, SamplesRecord
from infra.provenance import now, provenance
from infra.store import Store
from tasks.families import family_of
from tasks.model.sample import sample
from tasks.model.threads import device_of
from tasks.recipe import Recipe, samples_recipe
from tasks.reference.reference import load_reference
from tasks.study import Study

SHOWN_SAMPLES = 32


def shown_recipe(study: Study, reference: Recipe) -> Recipe:
    """What is drawn: as the coalitions' images, only fewer."""
    few = study.sampling.model_copy(update={"images": SHOWN_SAMPLES})
    return samples_recipe(reference, study.model_copy(update={"sampling": few}), study.coalition.seed)


def was_shown(study: Study, reference: Recipe, store: Store) -> bool:
    """Whether the images were ever drawn; what was tidied away since can be drawn anywhere."""
    return Ledger(store).get(SamplesRecord, shown_recipe(study, reference).key) is not None


def recorded_shown(study: Study, reference: Recipe, store: Store) -> np.ndarray | None:
    """The images, uint8 [32, r, r, 3], if they were drawn before and are still there."""
    record = Ledger(store).get(SamplesRecord, shown_recipe(study, reference).key)
    if record is not None and record.sha256 is not None:
        with contextlib.suppress(FileNotFoundError):  # tidied away since: drawn again
            return store.load_arrays(f"samples/{record.sha256}.safetensors", record.sha256)["images"]
    return None


def obtain_shown(study: Study, reference: Recipe, record: ModelRecord, store: Store) -> np.ndarray:
    """The images, from the store or drawn now: uint8 [32, r, r, 3].

    Raises:
        Diverged: if the reference draws numbers that are not finite.
    """
    known = recorded_shown(study, reference, store)
    if known is not None:
        return known
    recipe, ledger, started = shown_recipe(study, reference), Ledger(store), time.monotonic()
    # Who drives a work pool may have no card, and draws them here only if they were tidied away.
    device = device_of("auto" if study.execution.mode == "work_pool" else study.execution.device)
    images = sample(
        load_reference(study, record, store),
        sampler=study.sampling.sampler,
        steps=study.sampling.steps,
        images=SHOWN_SAMPLES,
        batch_size=study.sampling.batch_size,
        seed=study.sampling.seed,
        prompts=study.sampling.prompts if family_of(study.model).takes_prompts else (),
        guidance=study.sampling.guidance,
        precision=study.model.precision,
        device=device,
    )
    digest = store.save_named_by_content("samples", {"images": images})
    if (
        ledger.get(SamplesRecord, recipe.key) is None
    ):  # tidied away, it may come out otherwise now; it is only a picture
        ledger.record(
            SamplesRecord(
                key=recipe.key,
                spec=recipe.spec,
                model=reference.key,
                seconds=time.monotonic() - started,
                created=now(),
                provenance=provenance(device),
                sha256=digest,
            )
        )
    return images
