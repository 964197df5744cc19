"""A few images with owners, as the tests of per-image figures need them."""

import hashlib

import numpy as np

from tasks.validation.ownership import ImageRows, Ownership


def digests(count):
    return [hashlib.sha256(bytes([k])).hexdigest() for k in range(count)]


def owned(shares):
    """Ownership of as many images as `shares` has rows."""
    matrix = np.asarray(shares, dtype=float)
    return Ownership(digests(len(matrix)), matrix)


def rows(values):
    """Rows in the order of `owned`."""
    return ImageRows(digests(len(values)), np.asarray(values))


def shuffled(values, seed=0):
    """The same rows as a shuffled loader gives them, each with its own digest."""
    order = np.random.default_rng(seed).permutation(len(values))
    return ImageRows([digests(len(values))[k] for k in order], np.asarray(values)[order])
