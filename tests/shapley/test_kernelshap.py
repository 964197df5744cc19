"""The paper's estimator and draw, held against its formula."""

import numpy as np
import pytest

from tasks.shapley import MeasuredNoise, UnidentifiedError, estimate_credits, propose_coalitions
from tests.games import random_table


def formula(rows, values):
    """Covert & Lee 2021, equation 7, as printed; rows with repeats, the two ends apart."""
    ends = rows.all(axis=1) | ~rows.any(axis=1)
    x, y = rows[~ends].astype(float), values[~ends]
    v0, v1 = values[~rows.any(axis=1)][0], values[rows.all(axis=1)][0]
    a = x.T @ x / len(x)
    b = x.T @ (y - v0) / len(x)
    inverse, one = np.linalg.inv(a), np.ones(rows.shape[1])
    return inverse @ (b - one * (one @ inverse @ b - v1 + v0) / (one @ inverse @ one))


def test_hand_worked_example_of_three_players():
    # v(∅)=1, v(N)=7; rows {1}: 2, {2}: 4, {3}: 3, {1,2}: 6 (each less v(∅): 1, 3, 2, 5; rise 6).
    # With φ3 = 6 - φ1 - φ2: minimise (φ1-1)² + (φ2-3)² + (4-φ1-φ2)² + (φ1+φ2-5)²
    #   3 φ1 + 2 φ2 = 10 and 2 φ1 + 3 φ2 = 12, so φ = (1.2, 3.2, 1.6).
    rows = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool)
    credits = estimate_credits(rows, [1, 7, 2, 4, 3, 6], estimator="kernelshap")
    assert np.allclose(credits.values, [1.2, 3.2, 1.6], atol=1e-12)
    assert credits.estimator == "kernelshap"


@pytest.mark.parametrize("design", ["default", "kernelshap"])
@pytest.mark.parametrize("n_players", [4, 7, 11])
def test_equals_the_papers_formula_with_repeats_as_multiplicity(n_players, design):
    rows = propose_coalitions(n_players, 6 * n_players, seed=n_players, design=design)
    if design == "kernelshap":
        assert len(np.unique(rows, axis=0)) < len(rows)  # repeats are really there
    rows = rows[: 2**n_players - 2]
    values = random_table(n_players, 0).value(rows)
    assert np.allclose(estimate_credits(rows, values, estimator="kernelshap").values, formula(rows, values), atol=1e-9)


def test_refuses_where_the_released_code_returns_the_minimum_norm_answer():
    rows = propose_coalitions(20, 18, seed=0, design="kernelshap")
    values = np.random.default_rng(0).random(18)
    with pytest.raises(UnidentifiedError, match="20 credits apart from 16 evaluations"):
        estimate_credits(rows, values, estimator="kernelshap")
    # Many rows that never part two players are no better.
    twins = propose_coalitions(6, 40, seed=0)
    twins[:, 1] = twins[:, 0]
    with pytest.raises(UnidentifiedError):
        estimate_credits(twins, np.random.default_rng(0).random(40), estimator="kernelshap")


def test_draw_follows_the_kernel_may_repeat_and_grows_by_its_end():
    rows = propose_coalitions(8, 10_000, seed=3, design="kernelshap")
    assert rows[0].all() and not rows[1].any()
    sizes = np.bincount(rows[2:].sum(axis=1), minlength=9)[1:8] / 9_998
    kernel = 1 / (np.arange(1, 8) * np.arange(7, 0, -1))
    assert np.abs(sizes - kernel / kernel.sum()).max() < 0.02
    assert np.abs(rows[2:].mean(axis=0) - 0.5).max() < 0.02
    assert np.array_equal(rows[:500], propose_coalitions(8, 500, seed=3, design="kernelshap"))


def test_noise_of_the_two_ends_is_carried_as_it_enters():
    rows = propose_coalitions(5, 24, seed=0, design="kernelshap")
    values = random_table(5, 1).value(rows)
    base = estimate_credits(rows, values, estimator="kernelshap")
    with_noise = estimate_credits(rows, values, estimator="kernelshap", noise=MeasuredNoise(0.04))
    expected = np.zeros((5, 5))
    for end in (rows.all(axis=1), ~rows.any(axis=1)):
        response = estimate_credits(rows, values + end, estimator="kernelshap").values - base.values
        expected += 0.04 * np.outer(response, response)
    assert np.allclose(with_noise.covariance - base.covariance, expected, atol=1e-12)
