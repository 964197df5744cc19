"""Credits that cost next to nothing: what any method has to beat before it is worth its computation.

Source: Lin et al. 2025, section 4 and appendix, for own score, similarity and leave-one-out; random and pro rata are ours,
since without them nobody can see whether a score is more than chance or than counting images. Each returns float64[n].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks.shapley.validate import check_coalitions, check_players, check_values

from .checks import Floats, check_credits, check_whole
from .ownership import ImageRows, Ownership

CHUNK_BYTES = 64 * 2**20  # of float64 rows at a time


class AverageAndLargest(NamedTuple):
    """One figure an image, made one a contributor in two ways: float64[n] each."""

    average: Floats
    largest: Floats


def random_credits(n_contributors: int, *, seed: int) -> Floats:
    """Independent standard normals; `lds.random_lds` gives the scores of many at once."""
    return np.random.default_rng(seed).standard_normal(check_players(n_contributors))


def pro_rata(images: ArrayLike) -> Floats:
    """Share of the images: float[n] counts (sums of shares) to float64[n], sums to one."""
    counts = np.asarray(images, dtype=np.float64)
    checked = check_credits(counts, counts.size, "image counts")
    if (checked < 0).any() or checked.sum() <= 0:
        raise ValueError(f"image counts must not be negative, and not all zero; these are {checked.tolist()}")
    return checked / checked.sum()


def own_score(scores: ImageRows, ownership: Ownership) -> AverageAndLargest:
    """What the property's scorer says of a contributor's own training images.

    scores: float[m], more is better. The average weighs every image by its owner's share. Raises RowOrderError.
    """
    checked = check_values(ownership.rows_of(scores), len(ownership.digests))
    return AverageAndLargest(ownership.average(checked), ownership.largest(checked))


def similarity(train: ImageRows, generated: ArrayLike, ownership: Ownership) -> AverageAndLargest:
    """Cosine of training images with generated ones: mean over generated, then average or largest of a contributor's.

    train: uint8[m, r, r, 3] pixels, or float[m, d] features (CLIP or any other embedding); generated: the same of g images.
    Pixels are taken from 0 … 255 to -1 … 1. A vector of length zero has cosine 0 with everything.

    The mean over generated images of a cosine is the product with the mean of their unit vectors, so no table of m x g
    is made, and vectors are read in chunks. Raises RowOrderError; ValueError where the two are not of one kind.
    """
    own, other = ownership.rows_of(train), np.asarray(generated)
    if own.shape[1:] != other.shape[1:] or own.dtype != other.dtype:
        raise ValueError(
            f"training images are {own.dtype} of shape {own.shape[1:]} each, generated ones {other.dtype} of "
            f"{other.shape[1:]}: they cannot be compared"
        )
    if not len(other):
        raise ValueError("there are no generated images to compare with")
    direction = sum(part.sum(axis=0) for part in _unit_vectors(other)) / len(other)
    cosine = np.concatenate([part @ direction for part in _unit_vectors(own)])
    return AverageAndLargest(ownership.average(cosine), ownership.largest(cosine))


def leave_one_out(coalitions: ArrayLike, values: ArrayLike) -> Floats:
    """v(N) - v(N without i), means where a coalition is there more than once.

    coalitions: bool[m, n], others than these are passed over; values: float[m]. ValueError that names what is missing.
    """
    rows = check_coalitions(coalitions)
    checked = check_values(values, len(rows))
    missing = (~rows).sum(axis=1)
    if not (missing == 0).any():
        raise ValueError("leave-one-out needs the coalition of everybody, which is not among the evaluations")
    without = [(missing == 1) & ~rows[:, contributor] for contributor in range(rows.shape[1])]
    absent = [contributor for contributor, chosen in enumerate(without) if not chosen.any()]
    if absent:
        raise ValueError(
            f"leave-one-out needs everybody but each one; evaluate also everybody without contributor {absent[0]} (column)"
            + (f" and {len(absent) - 1} more" if len(absent) > 1 else "")
        )
    return checked[missing == 0].mean() - np.array([checked[chosen].mean() for chosen in without])


def _unit_vectors(images: np.ndarray) -> Iterator[Floats]:
    """float64[some, d] of length one or zero, a chunk at a time."""
    width = int(np.prod(images.shape[1:]))
    rows = max(1, CHUNK_BYTES // (8 * check_whole(width, 1, "numbers an image")))
    for start in range(0, len(images), rows):
        vectors = _as_vectors(images[start : start + rows], start)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        yield np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _as_vectors(images: NDArray[np.generic], start: int) -> Floats:
    vectors = images.reshape(len(images), -1).astype(np.float64)
    if images.dtype == np.uint8:
        return vectors / 127.5 - 1
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ValueError(f"features of image {start + bad[0]} are not finite")
    return vectors
