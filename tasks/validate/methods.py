"""Credits of the methods that evaluate no coalition: they look at the images, and at the grand coalition's model once.

    training images ─┬─ grand coalition's images ─▶ random, pro rata, pixel and feature similarity ─┬─▶ by property
                     ├─ and its model ─▶ gradient similarity, TRAK, D-TRAK ─────────────────────────┤
                     └─ a property's scorer ─▶ own score (of this property alone) ──────────────────┘

In all of them more is more credit. The names are what people read in tables and plots. The mathematics is in
tasks.validation; this room brings models and images to it. Source: Lin et al. 2025, section 4 and appendix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from infra.ledger import LedgerConflict
from tasks.evaluate.evaluator import Evaluator
from tasks.evaluate.jobs import Job
from tasks.families import family_of
from tasks.families.stored import encoded
from tasks.model.model import Model
from tasks.model.threads import one_thread
from tasks.partition import Partition
from tasks.progress import Say, silent
from tasks.properties import Samples, resolve_property
from tasks.properties.vision import feature_network
from tasks.recipe import samples_recipe
from tasks.study import Study
from tasks.validate.gradients_of import Output, image_gradients, pixel_digests
from tasks.validate.types import RANDOM
from tasks.validation.baselines import AverageAndLargest, own_score, pro_rata, random_credits, similarity
from tasks.validation.checks import Floats
from tasks.validation.gradients import gradient_credits
from tasks.validation.ownership import ImageRows, Ownership
from tasks.validation_spec import ValidationSpec

TIMESTEPS = 10  # noise levels that a gradient is averaged over, or all that the model has
# Images that gradients are made of, of those drawn from the model; pixels and features are of all of them.
GENERATED = 256


def free_credits(
    study: Study, asked: ValidationSpec, partition: Partition, evaluator: Evaluator, grand: Job, *, say: Say = silent
) -> dict[str, dict[str, Floats]]:
    """By property, credits float64[n] by method, in the order of the partition's contributors.

    Args:
        asked: gradients: without them the model is not needed, if its images are stored. projection, seed: of gradients,
            and of random credits.
        grand: the job of the grand coalition; its model and images are made where they are not in the store.

    Raises:
        Diverged, LedgerConflict, StoreError: as `Evaluator.realise`.
        ValueError: if something cannot be compared or is not finite; see tasks.validation.
        ImportError: if the feature network's package is missing.
    """
    generated, model = grand_coalition(evaluator, grand, with_model=asked.gradients, say=say)
    found = of_images(study, partition, generated, seed=asked.seed, device=evaluator.device, say=say)
    if model is not None:
        found |= of_gradients(
            study,
            partition,
            generated[:GENERATED],
            model,
            timesteps=min(TIMESTEPS, model.noise_steps),
            dimension=asked.projection,
            seed=asked.seed,
            device=evaluator.device,
            say=say,
        )
    names = study.properties.names
    return {name: found | of_own_score(study, partition, name, device=evaluator.device) for name in names}


def grand_coalition(
    evaluator: Evaluator, job: Job, *, with_model: bool = True, say: Say = silent
) -> tuple[np.ndarray, Model | None]:
    """The images uint8 [g, r, r, 3] of a job, and its model if it is wanted: stored, or made and recorded now. Where no
    property of the study needs images, some are drawn nevertheless.

    Use the model before the evaluator makes another one: models of one base share its network.

    Raises:
        Diverged, LedgerConflict, StoreError: as `Evaluator.realise`.
    """
    if job.samples is None:
        job = replace(job, samples=samples_recipe(job.model, evaluator.setting.study, job.seed))
    try:
        model, images = evaluator.realise(job, say, with_model)
    except LedgerConflict as error:  # after what it lacked was made again
        raise LedgerConflict(
            f"the grand coalition's weights or images were not kept, and came out otherwise when they were made again. "
            f"Without gradients (validation.gradients) no weights are needed. {error}"
        ) from error
    assert images is not None  # the job has samples
    return images, model


def of_images(
    study: Study, partition: Partition, generated: np.ndarray, *, seed: int, device: str = "cpu", say: Say = silent
) -> dict[str, Floats]:
    """Chance, head counts, and similarity of training images with generated ones, uint8 [g, r, r, 3]: of pixels, and of the
    features that the study's properties use."""
    people, digests, ownership = partition.contributors, partition.train_digests, _ownership(partition)
    network = feature_network(study.properties)
    say(f"features of {len(digests)} training and {len(generated)} generated images by {network.title}")
    with one_thread():
        pixels = similarity(ImageRows(digests, partition.train_pixels), generated, ownership)
        own, other = (network(images, device).embedding for images in (partition.train_pixels, generated))
        return {
            RANDOM: random_credits(len(people), seed=seed),
            "pro rata": pro_rata([person.images for person in people]),
            **_named("pixel similarity", pixels),
            **_named("feature similarity", similarity(ImageRows(digests, own), other, ownership)),
        }


def of_own_score(study: Study, partition: Partition, name: str, *, device: str = "cpu") -> dict[str, Floats]:
    """What the scorer of property `name` says of contributors' own training images, its sign applied so that more is better;
    nothing where the property is not made of a value of each image."""
    wanted = resolve_property(name, study.properties)
    if wanted.per_image is None:
        return {}
    with one_thread():
        scores = np.asarray(wanted.per_image(Samples(partition.train_pixels, device)), dtype=np.float64)
    return _named(
        "own score", own_score(ImageRows(partition.train_digests, wanted.sign * scores), _ownership(partition))
    )


def of_gradients(
    study: Study,
    partition: Partition,
    generated: np.ndarray,
    model: Model,
    *,
    timesteps: int,
    dimension: int,
    seed: int,
    device: str = "cpu",
    say: Say = silent,
) -> dict[str, Floats]:
    """TRAK, D-TRAK, and cosines of the loss's gradients, from the model's gradients at training and generated images.

    Args:
        generated: uint8 [g, r, r, 3], drawn from the model: image i for prompt i modulo their number, where there are some.
        timesteps, dimension, seed: as `image_gradients`.
    """
    takes_prompts, asked = family_of(study.model).takes_prompts, study.sampling.prompts
    drawn_for = [asked[number % len(asked)] for number in range(len(generated))] if asked else []

    def rows(pixels: np.ndarray, prompts: Sequence[str], digests: Sequence[str], what: str) -> dict[Output, ImageRows]:
        return image_gradients(
            model.to(device),
            encoded(torch.from_numpy(pixels), model, say),
            prompts if takes_prompts else (),
            digests,
            timesteps=timesteps,
            dimension=dimension,
            seed=seed,
            device=device,
            say=say,
            what=f"gradients of {what} images",
        )

    train = rows(partition.train_pixels, partition.train_prompts, partition.train_digests, "training")
    drawn = rows(generated, drawn_for, pixel_digests(generated), "generated")
    ownership = _ownership(partition)
    with one_thread():
        return {
            **_named("gradient similarity", similarity(train["trak"], drawn["trak"].values, ownership)),
            "TRAK": gradient_credits(train["trak"], drawn["trak"].values, ownership),
            "D-TRAK": gradient_credits(train["d_trak"], drawn["d_trak"].values, ownership),
        }


def _ownership(partition: Partition) -> Ownership:
    return Ownership(partition.train_digests, partition.ownership)


def _named(method: str, credits: AverageAndLargest) -> dict[str, Floats]:
    return {f"{method} (mean)": credits.average, f"{method} (max)": credits.largest}
