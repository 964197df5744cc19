"""Reference statistics name the scores that are made with them, so they must come out the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from infra.digest import sha256
from tasks.evaluate.statistics import compute_statistics
from tasks.properties import RealImages, resolve_property
from tasks.study import PropertiesSpec


def of(name: str) -> str:
    """The digest of a property's statistics of some images."""
    images = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
    real = RealImages(images[:300], images[300:], tuple(sha256(image.tobytes()) for image in images[300:]))
    return sha256(compute_statistics(resolve_property(name, PropertiesSpec()), real, lambda text: None))


@pytest.mark.parametrize("name", ["frechet_lite", "cluster_entropy"])
def test_statistics_are_the_same_bits_on_one_thread_and_on_several(name: str) -> None:
    """`make demo` computes them in a process with a thread on each core, a worker of `make stack` in one with one."""
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(limits=threads):
                found.append(of(name))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
