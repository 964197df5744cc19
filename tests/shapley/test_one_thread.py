"""Numbers do not depend on how many cores a machine has."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tasks.shapley import estimate_credits, propose_coalitions
from tasks.shapley.one_thread import one_thread

PLAYERS = 60


def values_of(rows: np.ndarray) -> np.ndarray:
    weights = np.random.default_rng(1).random(PLAYERS)
    return np.sqrt(rows @ weights) + 0.01 * np.random.default_rng(2).standard_normal(len(rows))


def threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.mark.parametrize("estimator", ["default", "kernelshap_sizes"])
def test_credits_are_the_same_bits_on_one_thread_and_on_several(estimator: str) -> None:
    rows = propose_coalitions(PLAYERS, 8 * PLAYERS, seed=0)
    found = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit):
            found.append(estimate_credits(rows, values_of(rows), estimator=estimator))
    assert found[0].values.tobytes() == found[1].values.tobytes()
    assert found[0].covariance.tobytes() == found[1].covariance.tobytes()


def test_the_same_coalitions_are_proposed_on_one_thread_and_on_several() -> None:
    rows = propose_coalitions(PLAYERS, 4 * PLAYERS, seed=0)
    found = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit):
            known = (rows, values_of(rows))
            found.append(propose_coalitions(PLAYERS, 40, seed=0, known=known, design="a_optimal"))
    assert np.array_equal(found[0], found[1])


def test_a_callers_threads_are_given_back_even_after_an_error() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with pytest.raises(RuntimeError), one_thread():
            assert threads() == {1}
            raise RuntimeError
        assert threads() == before
