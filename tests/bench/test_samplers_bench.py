"""Errors of samplers on values whose errors are known, and the whole bench on the smallest study."""

import argparse
import math

import numpy as np
import pytest

from infra.store import Store
from tests.bench.samplers import balanced, measure
from tests.bench.sampling_error import (
    Errors,
    Solver,
    against,
    cheapest,
    cheapest_near_best,
    errors_of,
    noise_by_count,
    sampling_sd,
    solver_error,
)
from tests.bench.sampling_table import recommended, report
from tests.small import make_data, small_study

FEW, MANY = Solver("dpmsolver++", 10), Solver("ddim", 100)


def test_bias_of_all_coalitions_alike_is_no_error():
    truth = np.array([1.0, 2.0, 4.0])
    assert against(truth + 7, truth) == (7.0, 0.0)
    bias, error = against(truth + np.array([1, 0, -1]), truth)
    assert bias == 0.0 and error == pytest.approx(1.0)  # s.d. with n - 1


def test_noise_is_what_parts_and_coalitions_do_not_explain():
    random = np.random.default_rng(0)
    parts = 100 * random.normal(size=(400, 1)) + 50 * random.normal(size=(1, 7)) + 3 * random.normal(size=(400, 7))
    assert sampling_sd(parts) == pytest.approx(3, rel=0.05)
    with pytest.raises(ValueError, match="not in 1 of 7"):
        sampling_sd(parts[:1])


def test_noise_of_counts_that_fit_once_follows_the_root_of_n():
    random = np.random.default_rng(1)
    noise = noise_by_count({32: random.normal(size=(16, 7)), 256: random.normal(size=(3, 7)), 512: np.ones((1, 7))})
    assert noise[512] == pytest.approx(noise[256] / math.sqrt(2))
    pooled = noise_by_count({64: random.normal(size=(8, 700)), 256: np.zeros((2, 700)), 512: np.ones((1, 700))})
    assert pooled[64] == pytest.approx(1, rel=0.05)
    assert pooled[512] ** 2 == pytest.approx(7 / 8 * 64 / 512, rel=0.1)  # 7 of 8 degrees of freedom say 64, one says 0
    with pytest.raises(ValueError, match="draw more"):
        noise_by_count({512: np.ones((1, 7))})


def errors(solver: float, noise: float) -> Errors:
    """Errors of FEW and of 100 images, of a property with spread 1."""
    zero = {FEW: 0.0, MANY: 0.0}
    return Errors(np.arange(3.0), 1.0, zero, zero, {FEW: solver, MANY: 0.0}, {100: noise, 400: noise / 2})


def test_cheapest_setting_is_good_for_every_property():
    costs = {(s, n): s.steps * n * 1.0 for s in (FEW, MANY) for n in (100, 400)}
    assert cheapest(costs, [errors(0.01, 0.05)]) == (FEW, 100)
    assert cheapest(costs, [errors(0.01, 0.05), errors(0.01, 0.15)]) == (FEW, 400)
    assert cheapest(costs, [errors(0.01, 0.05), errors(0.2, 0.05)]) == (MANY, 100)
    assert cheapest(costs, [errors(0.01, 0.3)]) is None


def test_where_noise_rules_a_solver_may_add_a_tenth_to_it():
    seconds = {FEW: 1.0, MANY: 10.0}
    assert cheapest_near_best(seconds, [errors(0.13, 0.3)], 100) == FEW  # 0.327
    assert cheapest_near_best(seconds, [errors(0.14, 0.3)], 100) == MANY  # 0.331
    assert cheapest_near_best(seconds, [errors(0.13, 0.3), errors(0.13, 0.3)], 400) == MANY


def test_images_that_are_needed_meet_the_limit_exactly():
    one = errors(0.06, 0.4)
    needed = one.images_for(FEW)
    assert math.hypot(0.06, 0.4 * math.sqrt(100 / needed)) == pytest.approx(0.1)
    assert errors(0.2, 0.4).images_for(FEW) == math.inf


def test_settings_are_held_against_the_truth_on_the_same_images():
    truth = {
        1: np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 9.0], [0, 0, 0], [1, 1, 1]]),
        2: np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 9.0]]),
        4: np.array([[10.0, 20.0, 30.0]]),
    }
    few = {1: truth[1][:2] + 0.5, 2: truth[2][:1] + 0.5}
    found = errors_of({MANY: truth, FEW: few}, MANY, 4, 2)
    assert found.spread == 10.0 and found.solver[FEW] == 0.0 and found.bias[FEW] == 0.5
    assert found.alike[FEW] == pytest.approx(1) and found.alone[FEW] == found.alone[MANY] > 0


def test_chance_that_cannot_be_seen_is_not_taken_off():
    truth, values = np.zeros((1, 3)), np.array([[5.0, 6.0, 7.0]])
    assert solver_error({64: values}, {64: truth, 128: truth}, 64) == (6.0, 1.0, 1.0)
    assert math.isnan(errors_of({MANY: {1: np.ones((2, 3)), 2: values}}, MANY, 2).alone[MANY]) is False


@pytest.mark.parametrize("own", [0.0, 2.0])
def test_chance_is_taken_off_a_solvers_error(own):
    random, coalitions = np.random.default_rng(2), 400
    images = 100 * random.normal(size=(64, coalitions))  # a value of each image; a count's value is their mean
    truth = {n: images.reshape(64 // n, n, coalitions).mean(axis=1) for n in (16, 64)}
    others = images + 10 * random.normal(size=images.shape) + own * random.normal(size=coalitions)
    values = {n: others.reshape(64 // n, n, coalitions).mean(axis=1) for n in (16, 64)}
    _, apart, without_chance = solver_error(values, truth, 64)
    assert apart == pytest.approx(math.hypot(10 / 8, own), rel=0.15)
    assert without_chance == pytest.approx(own, rel=0.15, abs=0.6)


def test_small_study_is_measured_from_end_to_end_and_goes_on_from_its_archive(tmp_path):
    study = small_study(make_data(tmp_path / "data"), sampling={"steps": 2, "images": 4})
    given = argparse.Namespace(
        each=2, samplers=("ddim", "dpmsolver++"), steps=(2,), truth_steps=4, images=12, compared=6, counts=(3, 6),
        archive=tmp_path / "archive.json",
    )  # fmt: skip
    assert balanced(study, given) == (12, 6, [3, 4, 6, 12])
    store = Store(str(tmp_path / "store"))
    found = measure(study, store, given)
    assert list(found.errors) == ["colourfulness"] and found.sizes == (1, 1, 3, 3, 4)
    one = found.errors["colourfulness"]
    assert one.solver[Solver("ddim", 4)] == 0.0 < one.solver[Solver("ddim", 2)]
    assert set(found.seconds.draw) == {Solver("ddim", 4), Solver("ddim", 2), Solver("dpmsolver++", 2)}
    kept = given.archive.read_bytes()
    again = measure(study, store, given)
    assert given.archive.read_bytes() == kept
    assert again.errors["colourfulness"].noise == one.noise
    text = report("small", found)
    assert "| ddim 2 (the study's) |" in text and recommended(found) is not None
