"""The process's Shapley posterior against enumeration of all coalitions, and its likelihood against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shapley.definition import shapley_functional
from tasks.shapley.gp.covariance import Covariance, Space
from tasks.shapley.gp.evidence import Evidence, gather
from tasks.shapley.gp.hyperparameters import NAMES, PRIOR_MEAN, PRIOR_SD, Hyperparameters, log_prior
from tasks.shapley.gp.likelihood import negative_log_posterior
from tasks.shapley.gp.posterior import Posterior
from tasks.shapley.noise import MeasuredNoise
from tasks.shapley.validate import check_evaluations
from tests.games import all_coalitions

HERE = np.ones(7, dtype=bool)
ONE_LEFT = np.array([True, True, False, True, True, True, True])
TWO_LEFT = np.array([True, False, True, True, True, False, True])
WHO = pytest.mark.parametrize("present", [HERE, ONE_LEFT, TWO_LEFT], ids=["nobody left", "one left", "two left"])


def some_evidence(present: np.ndarray, seed: int, rows: int = 40) -> tuple[Space, Evidence]:
    """Random values of random coalitions, some evaluated more than once, with an audit of two sizes."""
    rng = np.random.default_rng(seed)
    n = len(present)
    chosen = rng.permutation(all_coalitions(n)[1:])[:rows]
    chosen = np.concatenate([chosen, chosen[:10], chosen[:5], [np.zeros(n, bool)], [present]])
    sizes = rng.random(n) * 5 + 1
    noise = MeasuredNoise(0.02, 8.0, by_size=((2, 0.03, 4.0), (6, 0.01, 4.0)))
    evaluations = check_evaluations(chosen, rng.normal(size=len(chosen)), sizes, ~present)
    return Space.of(present, sizes), gather(evaluations, noise)


def some_hyperparameters(seed: int) -> np.ndarray:
    return PRIOR_MEAN + 0.5 * np.random.default_rng(seed).normal(size=len(NAMES)) * PRIOR_SD


@WHO
@pytest.mark.parametrize("seed", range(3))
def test_posterior_mean_and_covariance_of_credits_equal_enumeration_to_nine_digits(present, seed):
    space, evidence = some_evidence(present, seed)
    hyper = Hyperparameters.of(some_hyperparameters(seed))
    posterior = Posterior(space, evidence, hyper)
    n = int(present.sum())
    every = np.zeros((2**n, len(present)))
    every[:, present] = all_coalitions(n)
    functional = shapley_functional(all_coalitions(n)).copy()
    functional[:, 0] += 1 / n  # what is left of the value at ∅ once the measured one takes its place
    model = Covariance(space, hyper)
    matrix = model.between(evidence.rows, evidence.rows) + np.diag(evidence.noise(hyper.noise, hyper.noise_growth))
    cross = model.between(every, evidence.rows)
    mean = evidence.centre + evidence.scale * cross @ np.linalg.solve(matrix, evidence.values)
    covariance = evidence.scale**2 * (model.between(every, every) - cross @ np.linalg.solve(matrix, cross.T))
    assert np.abs(posterior.credits - functional @ mean).max() < 1e-9
    assert np.abs(posterior.covariance - functional @ covariance @ functional.T).max() < 1e-9
    predicted, spread = posterior.predict(every.astype(bool))
    assert np.abs(predicted - mean).max() < 1e-9
    assert np.abs(spread**2 - np.diag(covariance)).max() < 1e-9


@WHO
def test_an_infinite_jump_at_the_empty_coalition_is_the_limit_of_a_large_one(present):
    space, evidence = some_evidence(present, 0)
    hyper = Hyperparameters.of(some_hyperparameters(0))
    n, jump, value = int(present.sum()), 1e7, -30.0
    every = np.zeros((2**n, len(present)))
    every[:, present] = all_coalitions(n)
    model = Covariance(space, hyper)
    rows = np.concatenate([evidence.rows, every[:1]])
    y = np.append(evidence.scale * evidence.values, value - evidence.centre)

    def covariance(left, right):
        empty = np.outer(~left.any(axis=1), ~right.any(axis=1))
        return evidence.scale**2 * (model.between(left, right) + jump * empty)

    noise = evidence.scale**2 * np.append(evidence.noise(hyper.noise, hyper.noise_growth), hyper.noise)
    cross = covariance(every, rows)
    solved = np.linalg.solve(covariance(rows, rows) + np.diag(noise), np.column_stack([y, cross.T]))
    functional = shapley_functional(all_coalitions(n))
    credits = functional @ (cross @ solved[:, 0])
    spread = functional @ (covariance(every, every) - cross @ solved[:, 1:]) @ functional.T
    posterior = Posterior(space, evidence, hyper)
    excess = np.eye(n) - 1 / n
    assert np.allclose(excess @ posterior.credits, excess @ credits, atol=1e-5)
    assert np.allclose(excess @ posterior.covariance @ excess, excess @ spread @ excess, atol=1e-5)
    assert np.isclose((posterior.credits - value / n).sum(), credits.sum(), atol=1e-4)


@WHO
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_gradient_of_the_likelihood_equals_finite_differences(present, seed):
    space, evidence = some_evidence(present, seed)
    evidence = replace(evidence, trust=np.random.default_rng(seed).uniform(0.2, 1, len(evidence.values)))
    at = some_hyperparameters(seed)
    gradient = negative_log_posterior(at, space, evidence)[1]
    step = 1e-5
    numeric = np.array(
        [
            (
                negative_log_posterior(at + step * e, space, evidence)[0]
                - negative_log_posterior(at - step * e, space, evidence)[0]
            )
            / (2 * step)
            for e in np.eye(len(at))
        ]
    )
    assert np.abs(gradient - numeric).max() < 1e-5 * max(1.0, np.abs(numeric).max())


def test_repeats_count_as_the_single_evaluations_that_they_are():
    """Merging repeats into means and scatter changes the likelihood by a constant only."""
    space, merged = some_evidence(HERE, 1)
    plain = np.concatenate(
        [np.repeat(row[None], times, axis=0) for row, times in zip(merged.rows, merged.times.astype(int), strict=True)]
    )
    growth = np.repeat(merged.growth, merged.times.astype(int))
    values = []
    for value, times, scatter in zip(merged.values, merged.times, merged.scatter, strict=True):
        spread = np.arange(times) - (times - 1) / 2
        values += list(value + (spread * np.sqrt(scatter / (spread**2).sum()) if times > 1 else 0 * spread))

    def apart(vector):
        hyper = Hyperparameters.of(vector)
        matrix = Covariance(space, hyper).between(plain, plain)
        matrix += np.diag(hyper.noise * np.exp(hyper.noise_growth * growth))
        audit = hyper.noise * np.exp(hyper.noise_growth * merged.audit_growth)
        told = -0.5 * (merged.audit_degrees * (np.log(audit) + merged.audit_variance / audit)).sum()
        return (
            0.5 * np.array(values) @ np.linalg.solve(matrix, values)
            + 0.5 * np.linalg.slogdet(matrix)[1]
            - told
            - log_prior(vector)[0]
        )

    first, second = some_hyperparameters(5), some_hyperparameters(6)
    difference = negative_log_posterior(first, space, merged)[0] - negative_log_posterior(second, space, merged)[0]
    assert np.isclose(difference, apart(first) - apart(second), rtol=1e-9)


@WHO
def test_covariance_with_more_coalitions_is_that_of_having_evaluated_them(present):
    space, evidence = some_evidence(present, 2)
    hyper = Hyperparameters.of(some_hyperparameters(2))
    posterior = Posterior(space, evidence, hyper)
    posterior.widen(1.7)
    known = {row.tobytes() for row in evidence.rows.astype(bool)}
    more = np.array([row for row in all_coalitions(7)[1:] if row.tobytes() not in known])[:9]
    count = len(evidence.values)
    smallness = -np.log(more.sum(axis=1)) + np.log(evidence.rows.sum(axis=1)).mean()
    grown = replace(
        evidence,
        rows=np.concatenate([evidence.rows, more.astype(float)]),
        values=np.concatenate([evidence.values, np.full(9, 123.0)]),  # values must not matter
        times=np.concatenate([evidence.times, np.ones(9)]),
        scatter=np.concatenate([evidence.scatter, np.zeros(9)]),
        growth=np.concatenate([evidence.growth, smallness]),
        trust=np.ones(count + 9),
    )
    later = Posterior(space, grown, hyper)
    later.widen(1.7)
    assert np.allclose(posterior.covariance_with(more), later.covariance, atol=1e-10)
    assert np.array_equal(posterior.covariance_with(more[:0]), posterior.covariance)
