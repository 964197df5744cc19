"""The nouns of this room: what a property is, and what it is computed from.

    RealImages --Property.statistics--> statistics --(frozen in the epoch)--+
                                                                            +--Property.score--> one float, raw
    Samples (generated images) or Denoiser (the fine-tuned weights) --------+

A property is a scalar of one model. Its raw value is stored as it is; `sign` says how it enters the game, where more
is always better. All checks that every property needs (shape, number of images, finite result) are made here once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch

from tasks.properties.networks import FeatureNetwork, Features, check_pixels

Statistics = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class RealImages:
    """The images reference statistics are computed from; frozen for an epoch.

    train: uint8 [m, r, r, 3]; heldout: uint8 [k, r, r, 3]; heldout_digests: k sha256 of the held-out images' pixels,
    as 64 hex digits; heldout_prompts: k of them, or none where the model takes none. `device` is where feature networks run;
    it is no part of the result.
    """

    train: np.ndarray
    heldout: np.ndarray
    heldout_digests: tuple[str, ...]
    device: str = "cpu"
    heldout_prompts: tuple[str, ...] = ()
    _features: dict[FeatureNetwork, Features] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_pixels(self.train, "the training images", at_least=1)
        check_pixels(self.heldout, "the held-out images", at_least=0)
        if len(self.heldout) != len(self.heldout_digests):
            raise ValueError(f"{len(self.heldout)} held-out images but {len(self.heldout_digests)} digests of them")
        if self.heldout_prompts and len(self.heldout_prompts) != len(self.heldout):
            raise ValueError(f"{len(self.heldout)} held-out images but {len(self.heldout_prompts)} prompts of them")

    def features(self, network: FeatureNetwork) -> Features:
        """Features of the training images; kept, so that several properties share one forward pass."""
        if network not in self._features:
            self._features[network] = network(self.train, self.device)
        return self._features[network]


@dataclass(frozen=True, eq=False)
class Samples:
    """The generated images of one coalition: uint8 [n, r, r, 3]. Features are kept, one forward pass a network."""

    images: np.ndarray
    device: str = "cpu"
    _features: dict[FeatureNetwork, Features] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_pixels(self.images, "the generated images", at_least=1)

    def features(self, network: FeatureNetwork) -> Features:
        """Features of the generated images in their order: embedding float32 [n, d], probabilities float32 [n, c]."""
        if network not in self._features:
            self._features[network] = network(self.images, self.device)
        return self._features[network]


class Denoiser(Protocol):
    """The weights of one coalition's model, as far as a property may know them."""

    @property
    def alphas_cumprod(self) -> torch.Tensor:
        """float32 [T], on the model's device: the share of signal (of variance) left at each timestep."""
        ...

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [b, r, r, 3] -> clean images float32 [b, C, h, w] in the model's own space: RGB in [-1, 1], or latents."""
        ...

    def predict_noise(self, noisy: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str] = ()) -> torch.Tensor:
        """Noise predicted in noisy float32 [b, C, h, w] at int64 [b] timesteps; prompts: b of them, for models that take
        them."""
        ...


@dataclass(frozen=True)
class Property:
    """One global property of a generative model.

    name         registry name, or "module:function"
    needs        what it is scored on: "samples" (generated images) or "weights" (a Denoiser)
    sign         +1 if more is better, -1 if less is better; applied by the caller, never here
    unit         of the raw value
    version      bumped when the numbers change; enters the score digest
    options      the options this property really uses, resolved; enter the score digest
    per_image    where the property is made of a value of each image: Samples -> float [n] in their order. It is no part of
                 the identity; it also rates images that people made, contributors' own above all
    """

    name: str
    needs: Literal["samples", "weights"]
    sign: Literal[1, -1]
    unit: str
    description: str
    version: int
    options: Mapping[str, Any]
    compute_score: Callable[[Any, Statistics], float] = field(repr=False, compare=False)
    compute_statistics: Callable[[RealImages], Statistics] | None = field(default=None, repr=False, compare=False)
    minimum_images: int = field(default=2, repr=False, compare=False)
    per_image: Callable[[Samples], np.ndarray] | None = field(default=None, repr=False, compare=False)

    def identity(self) -> dict[str, Any]:
        """What makes this property's numbers what they are, as JSON: goes into the score digest.

        The digest of the reference statistics is the other half; the caller has it.
        """
        return {"name": self.name, "version": self.version, "options": dict(self.options)}

    def statistics(self, real: RealImages) -> Statistics:
        """Reference statistics, computed once an epoch: named arrays without objects ({} if none are needed).

        Raises ValueError with the reason when the real images do not allow it (too few, say).
        """
        if self.compute_statistics is None:
            return {}
        statistics = {key: np.asarray(value) for key, value in self.compute_statistics(real).items()}
        for key, value in statistics.items():
            if value.dtype.hasobject:
                raise ValueError(
                    f"{self.name}: statistic {key!r} holds Python objects; only plain arrays can be stored"
                )
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"{self.name}: statistic {key!r} of the real images is not finite")
        return statistics

    def score(self, subject: Samples | Denoiser, statistics: Statistics) -> float:
        """The raw value of one coalition's model.

        Raises ValueError with the reason when it is impossible (too few images) or not finite (a diverged model).
        """
        if self.needs == "samples":
            if not isinstance(subject, Samples):
                raise ValueError(
                    f"{self.name} is scored on generated images (Samples), not on {type(subject).__name__}"
                )
            if len(subject.images) < self.minimum_images:
                raise ValueError(
                    f"{self.name} needs at least {self.minimum_images} generated images, there are "
                    f"{len(subject.images)}; raise sampling.images"
                )
        elif not hasattr(subject, "predict_noise") or not hasattr(subject, "alphas_cumprod"):
            raise ValueError(
                f"{self.name} is scored on a model's weights (a Denoiser), not on {type(subject).__name__}"
            )
        raw = self.compute_score(subject, statistics)
        try:
            value = float(raw)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name} must return one number, it returned {type(raw).__name__}") from error
        if not math.isfinite(value):
            raise ValueError(f"{self.name} came out as {value}: the model has diverged, or its images are degenerate")
        return value


def take(statistics: Statistics, owner: str, *keys: str) -> list[np.ndarray]:
    """The named statistics, or a ValueError that says which are missing: somebody passed another property's."""
    missing = [key for key in keys if key not in statistics]
    if missing:
        raise ValueError(f"{owner}: reference statistics {missing} are missing; there are {sorted(statistics)}")
    return [statistics[key] for key in keys]
