"""What the audit's repeats tell the estimators of chance."""

import numpy as np
import pytest

from tasks.estimate import measure_noise
from tasks.evaluate.jobs import Outcome
from tests.estimate.test_results import job

ROWS = [(0,), (0, 1), (1, 2), (0, 1, 2, 3)]
SEEDS = (0, 1, 2)


def audit(rng: np.random.Generator, sds, seeds=SEEDS):
    jobs = [job(members, "design" if seed == 0 else "audit", seed) for members in ROWS for seed in seeds]
    shift = {seed: 3 * rng.standard_normal() for seed in seeds}
    return jobs, [
        Outcome(values={"heldout_loss": shift[j.seed] + sds[len(j.members)] * rng.standard_normal()}) for j in jobs
    ]


def test_a_small_audit_tells_estimators_the_variance_and_its_degrees_and_nothing_by_size():
    noise = measure_noise("heldout_loss", *audit(np.random.default_rng(0), {1: 0.5, 2: 0.5, 4: 0.5}))
    measured = noise.measured
    assert measured is not None and noise.sd is not None and noise.cautious_variance is not None
    assert measured.variance == pytest.approx(noise.sd**2) and measured.degrees == noise.freedom == 6
    assert measured.cautious_variance == noise.cautious_variance > measured.variance
    assert measured.by_size == ()
    sizes, variances, degrees = zip(*noise.by_size, strict=True)
    assert sizes == (1, 2, 4) and degrees == (1.5, 3.0, 1.5)
    assert np.average(variances, weights=degrees) == pytest.approx(measured.variance)


def test_a_large_audit_tells_them_by_size_as_well():
    noise = measure_noise("heldout_loss", *audit(np.random.default_rng(0), {1: 1.0, 2: 0.5, 4: 0.5}, range(21)))
    assert noise.measured is not None and noise.measured.by_size == noise.by_size
    assert [size for size, _, _ in noise.by_size] == [1, 2, 4]


def test_noise_of_small_coalitions_is_seen_as_larger_and_never_as_more_so_than_it_is():
    rng = np.random.default_rng(1)
    found = [
        [variance for _, variance, _ in measure_noise("heldout_loss", *audit(rng, {1: 1.0, 2: 0.5, 4: 0.5})).by_size]
        for _ in range(600)
    ]
    small, middle, large = np.mean(found, axis=0)
    common = (1 + 3 * 0.25) / 4
    assert small == pytest.approx(1 * 2 / 3 + common / 3, rel=0.1)
    assert middle == pytest.approx(0.25 * 2 / 3 + common / 3, rel=0.1)
    assert large == pytest.approx(0.25 * 2 / 3 + common / 3, rel=0.1)


def test_without_repeats_estimators_are_told_nothing():
    jobs = [job(members, "design") for members in ROWS]
    assert measure_noise("heldout_loss", jobs, [Outcome(values={"heldout_loss": 1.0}) for _ in jobs]).measured is None
