"""Rows that belong to images, and whose the images are: matched by digest before they meet.

Figures that have one row an image (scores, features, gradients) come from loaders that may shuffle. A row that meets the
wrong owner changes no shape and raises no error, it only makes the credits noise; so rows carry their image's digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .checks import Floats


class RowOrderError(ValueError):
    """Rows and ownership are not of the same images in the same order; the message names the first that differs."""


@dataclass(frozen=True, eq=False)
class ImageRows:
    """digests: of m images, in the order of the rows. values: [m, ...], one row an image.

    digests   values
    3fa7…     row of the image 3fa7…
    91c0…     row of the image 91c0…
    """

    digests: Sequence[str]
    values: np.ndarray

    def __post_init__(self) -> None:
        if len(self.digests) != len(self.values):
            raise ValueError(f"{len(self.digests)} digests for {len(self.values)} rows; every row is of one image")


@dataclass(frozen=True, eq=False)
class Ownership:
    """Whose each distinct training image is.

    digests: of m images. shares: float64[m, n] >= 0, over the contributors; equal images add up, an image none of whose
    owners takes part is all zero. ValueError for anything else, and for a contributor without an image.
    """

    digests: Sequence[str]
    shares: Floats

    def __post_init__(self) -> None:
        shares = np.asarray(self.shares, dtype=np.float64)
        object.__setattr__(self, "shares", shares)
        if shares.ndim != 2 or len(shares) != len(self.digests):
            raise ValueError(f"shares have shape {shares.shape}, but there are {len(self.digests)} image digests")
        if not (np.isfinite(shares).all() and (shares >= 0).all()):
            row = int(np.flatnonzero(~(np.isfinite(shares) & (shares >= 0)).all(axis=1))[0])
            raise ValueError(f"shares of image {self.digests[row]} must be finite and not negative")
        if len(set(self.digests)) < len(self.digests):
            twice = next(d for k, d in enumerate(self.digests) if d in set(self.digests[:k]))
            raise ValueError(f"image {twice} is there twice; shares of equal images belong in one row")
        nothing = np.flatnonzero(~shares.any(axis=0))
        if len(nothing):
            raise ValueError(f"contributor {nothing[0]} (column) owns no training image; leave out who has none")

    def rows_of(self, images: ImageRows) -> np.ndarray:
        """The rows, [m, ...], once it is sure that they are of these images in this order. Raises RowOrderError."""
        if len(images.digests) != len(self.digests):
            raise RowOrderError(f"{len(images.digests)} rows, but ownership is of {len(self.digests)} images")
        for row, (found, expected) in enumerate(zip(images.digests, self.digests, strict=True)):
            if found != expected:
                known = "an image further on" if found in set(self.digests) else "no image of this ownership"
                raise RowOrderError(
                    f"row {row} is of image {found} ({known}), but ownership has {expected} there; bring rows into the "
                    "order of ownership before they are used, a shuffled loader must not be trusted"
                )
        return images.values

    def total(self, scores: ArrayLike) -> Floats:
        """Sum over a contributor's images, each by its share: float[m] to float64[n]."""
        return np.asarray(np.asarray(scores, dtype=np.float64) @ self.shares)

    def average(self, scores: ArrayLike) -> Floats:
        """Mean over a contributor's images, each weighing its share: float[m] to float64[n]."""
        return self.total(scores) / self.shares.sum(axis=0)

    def largest(self, scores: ArrayLike) -> Floats:
        """Largest over the images that a contributor has any share of: float[m] to float64[n]."""
        by_owner = np.where(self.shares > 0, np.asarray(scores, dtype=np.float64)[:, None], -np.inf)
        return np.asarray(by_owner.max(axis=0))
