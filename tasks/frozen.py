"""What an epoch froze: the images that reference, pruned model, held-out set and reference statistics are made from.

                   when the epoch opened            today
    images         Frozen (data/<sha256>)           Partition: somebody joined, somebody left
    made from it   reference, pruned, statistics    coalitions, credits

So a joiner changes the key of nothing that was evaluated before. The images themselves are asked for only where something is
made from them: whatever is in the store already needs nothing but the recipe.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from infra.store import Store
from tasks.images_gone import Check, ImagesGone, nobodys
from tasks.model.train import TrainingData
from tasks.partition import Partition
from tasks.partition.prompts import prompts_of
from tasks.properties import RealImages
from tasks.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Frozen:
    """Images at one moment. `recipe` names each of them by its digest, with what it weighs.

    train: uint8 [m, r, r, 3]; heldout: uint8 [k, r, r, 3], both in the recipe's order. train_prompts, heldout_prompts: m and
    k of them in the same order, or none at all where the model takes none.
    Raises ValueError if these are not as many images and prompts as the recipe names.
    """

    recipe: Recipe
    train: np.ndarray
    heldout: np.ndarray
    train_prompts: tuple[str, ...] = ()
    heldout_prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named = len(self.recipe.spec["train"]), len(self.recipe.spec["heldout"])
        if (len(self.train), len(self.heldout)) != named:
            raise ValueError(
                f"{len(self.train)} training and {len(self.heldout)} held-out images, where the recipe names {named[0]} and "
                f"{named[1]}"
            )
        prompts = len(self.train_prompts), len(self.heldout_prompts)
        if prompts not in ((0, 0), named):
            raise ValueError(
                f"{prompts[0]} prompts of training and {prompts[1]} of held-out images, where the recipe names {named[0]} "
                f"and {named[1]} images"
            )

    @classmethod
    def of(cls, partition: Partition, data: Recipe) -> Frozen:
        """The images of today."""
        return cls(
            data,
            partition.train_pixels,
            partition.heldout_pixels,
            partition.train_prompts,
            partition.heldout_prompts,
        )

    @property
    def real(self) -> RealImages:
        """As reference statistics take them."""
        digests = tuple(self.recipe.spec["heldout"])
        return RealImages(self.train, self.heldout, digests, heldout_prompts=self.heldout_prompts)

    @property
    def everybody(self) -> TrainingData:
        """As training takes them: each weighs the sum of its owners' shares."""
        digests, weights = zip(*self.recipe.spec["train"], strict=True)
        return TrainingData(
            torch.from_numpy(self.train), digests, np.array(weights, dtype=np.float64), self.train_prompts
        )


@dataclass(frozen=True, eq=False)
class Epoch:
    """What all evaluations of a study rest on.

    number: of the study, from 1; 0 for one that was never opened, as in a preview. opened: ISO 8601, UTC. why: in words.
    data: recipe of the images that it froze. drift: part of them that has come, gone or changed hands since, from 0 to 1.
    load: brings the images. check: raises ImagesGone if what is made of them may no longer be kept.
    """

    number: int
    opened: str
    why: str
    data: Recipe
    drift: float
    load: Callable[[], Frozen]
    check: Check = nobodys

    @functools.cached_property
    def images(self) -> Frozen:
        """The images, fetched when they are first needed. Raises ImagesGone if they are no longer there."""
        return self.load()

    @property
    def name(self) -> str:
        """For messages."""
        return f"epoch {self.number}" if self.number else "the epoch that would be opened"


def epoch_at_hand(partition: Partition, data: Recipe) -> Epoch:
    """An epoch of today's images that is recorded nowhere: for a look ahead, and for whoever has no study's history."""
    return Epoch(0, "", "", data, 0.0, lambda: Frozen.of(partition, data))


def frozen_in_store(data: Recipe, pixels: str, name: str, store: Store) -> Frozen:
    """The images that an epoch froze, each file checked against its digest.

    Args:
        pixels: sha256 of data/<sha256>.safetensors.
        name: of the epoch, for messages.

    Raises:
        ImagesGone: if they were removed.
        StoreError: if they are not what was frozen.
    """
    try:
        arrays = store.load_arrays(f"data/{pixels}.safetensors", pixels)
    except FileNotFoundError as error:
        raise ImagesGone(
            f"the images that {name} rests on are no longer in the store (somebody opted out, or they were tidied away), "
            "and something has to be made from them: a property that is new, or a reference that was removed. Open a new "
            "epoch: `reattribute` or `attribute` with new_epoch"
        ) from error
    prompts = prompts_of(arrays, "train"), prompts_of(arrays, "heldout")
    return Frozen(data, arrays["train_pixels"], arrays["heldout_pixels"], *prompts)
