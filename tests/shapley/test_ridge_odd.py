"""Shrinkage on pairs: held against its formulas, and against the plain estimators where it should win."""

import numpy as np
import pytest

from tasks.shapley import UnidentifiedError, estimate_credits, propose_coalitions
from tasks.shapley.pairs import match_pairs, paired_share
from tasks.shapley.ridge_odd import LAMBDAS, RHOS, Power, average, pair_up, project_curve
from tasks.shapley.validate import check_evaluations
from tests.games import additive, all_coalitions, family, table
from tests.shapley.every_estimator import design, wavy


def setting(n_players: int = 7, budget: int = 50):
    rows = design(n_players, budget)
    values = wavy(rows, 0) + 0.1 * np.random.default_rng(0).standard_normal(len(rows))
    return check_evaluations(rows, values, np.linspace(1, 3, n_players))


def projected(n_players: int = 7, budget: int = 50):
    found = project_curve(pair_up(setting(n_players, budget)))
    assert found is not None
    return found


def marginal(design, scale, lam, rho):
    """Covariance over σ² of the target and of z, and between them, written out."""
    n = len(scale)
    prior = (np.eye(n) + rho * np.ones((n, n))) / lam
    b = design * scale
    return np.eye(len(b)) + b @ prior @ b.T, prior, b @ prior


def test_evidence_and_posterior_are_those_of_the_normal_model_written_out():
    rows, target, degrees = projected()
    scale = np.linspace(0.5, 1.5, 7)
    basis, triangle = np.linalg.qr(rows)
    rest = target - basis @ (basis.T @ target)
    power = Power.of(scale, triangle, basis.T @ target, rest @ rest, degrees)
    half_cauchy = 0.5 * np.log(LAMBDAS) - np.log1p(LAMBDAS)
    for r, at in ((0, 40), (2, 36), (4, 44)):
        covariance, prior, cross = marginal(rows, scale, power.lambdas[at], RHOS[r])
        squares = target @ np.linalg.solve(covariance, target)
        evidence = -0.5 * (degrees * np.log(squares) + np.linalg.slogdet(covariance)[1]) + half_cauchy[at]
        assert power.log_evidence[r, at] == pytest.approx(evidence, abs=1e-8)
        assert power.error[r, at] == pytest.approx(squares / degrees)
        mean = scale * (cross.T @ np.linalg.solve(covariance, target))
        spread = prior - cross.T @ np.linalg.solve(covariance, cross)
        chosen = np.zeros(power.kappa.shape)
        chosen[r, at] = 1
        assert np.allclose(power.moments(chosen, None), mean, atol=1e-9)
        expected = squares / degrees * scale[:, None] * spread * scale
        assert np.allclose(power.moments(chosen, mean), expected, rtol=1e-6, atol=1e-9)


def test_the_average_is_that_over_the_grid_and_its_covariance_holds_what_the_grid_disagrees_on():
    rows, target, degrees = projected()
    scales = [np.ones(7), np.linspace(0.5, 1.5, 7)]
    posterior = average(rows, target, degrees, scales)
    contrast = np.eye(7) - 1 / 7
    points, weights, spreads = [], [], []
    for scale in scales:
        for rho in RHOS:
            for at, ratio in enumerate(LAMBDAS):
                lam = ratio * ((rows * scale) ** 2).sum() / degrees
                covariance, prior, cross = marginal(rows, scale, lam, rho)
                solved = np.linalg.solve(covariance, np.c_[target, cross])
                squares = target @ solved[:, 0]
                evidence = -0.5 * (degrees * np.log(squares) + np.linalg.slogdet(covariance)[1])
                points.append(contrast @ (scale * (cross.T @ solved[:, 0])))
                spread = scale[:, None] * (prior - cross.T @ solved[:, 1:]) * scale
                spreads.append(squares / degrees * contrast @ spread @ contrast)
                weights.append(evidence + 0.5 * np.log(LAMBDAS[at]) - np.log1p(LAMBDAS[at]))
    share = np.exp(np.array(weights) - max(weights))
    share /= share.sum()
    mean = share @ np.array(points)
    apart = np.array(points) - mean
    expected = np.einsum("k,kij->ij", share, np.array(spreads)) + (apart.T * share) @ apart
    assert np.allclose(posterior.credits, mean, atol=1e-6 * np.ptp(mean))
    assert np.allclose(posterior.covariance, expected, atol=1e-5 * expected.max())


def test_without_noise_nothing_is_shrunk():
    for n_players in (5, 20, 60):
        game = additive(np.random.default_rng(1).normal(size=n_players))
        rows = propose_coalitions(n_players, min(4 * n_players, 2**n_players - 4), seed=0)
        credits = estimate_credits(rows, game.value(rows), sizes=np.ones(n_players), estimator="ridge_odd")
        assert np.allclose(credits.values, game.credits, atol=1e-6)
        assert np.sqrt(np.diag(credits.covariance)).max() < 1e-4


def test_interactions_of_two_and_any_even_part_cancel():
    rng = np.random.default_rng(2)
    pairwise, weights = rng.normal(size=(8, 8)), rng.normal(size=8)

    def value(asked):
        return asked @ weights + np.einsum("ki,ij,kj->k", asked, pairwise, asked)

    rows = design(8, 70)
    truth = table(value(all_coalitions(8).astype(int))).credits
    credits = estimate_credits(rows, value(rows.astype(int)), estimator="ridge_odd")
    assert np.allclose(credits.values, truth, atol=1e-5)


def relative_errors(n_players: int, budget: int, noise: float, estimators, seeds=range(3)):
    found: dict[str, list[float]] = {name: [] for name in estimators}
    for seed in seeds:
        rows = propose_coalitions(n_players, budget, seed=seed)
        for game in family(n_players, seed):
            rng = np.random.default_rng(seed)
            values = game.value(rows)
            values = values + noise * values[2:].std() * rng.standard_normal(len(rows))
            for name in estimators:
                excess = estimate_credits(rows, values, sizes=game.sizes, estimator=name).excess
                found[name].append(((excess - game.excess) ** 2).sum() / (game.excess**2).sum())
    return {name: float(np.exp(np.mean(np.log(errors)))) for name, errors in found.items()}


@pytest.mark.parametrize(("n_players", "budget"), [(12, 40), (16, 80)])
def test_noisy_games_are_told_better_than_by_least_squares_with_the_same_rows(n_players, budget):
    errors = relative_errors(n_players, budget, 0.3, ["ridge_odd", "kernelshap_sizes"])
    assert errors["ridge_odd"] < 0.5 * errors["kernelshap_sizes"]


def test_sizes_help_where_credit_follows_them_and_do_no_harm_where_it_does_not():
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(size=15)
    rows = propose_coalitions(15, 50, seed=0)
    misled: list[float] = []
    told: list[float] = []
    untold: list[float] = []
    for _ in range(12):
        values = rows @ sizes + 2 * rng.standard_normal(len(rows))
        for errors, given in ((told, sizes), (untold, None), (misled, rng.permutation(sizes))):
            excess = estimate_credits(rows, values, sizes=given, estimator="ridge_odd").excess
            errors.append(float(((excess - (sizes - sizes.mean())) ** 2).sum()))
    assert np.mean(told) < 0.3 * np.mean(untold)
    assert np.mean(misled) < 1.15 * np.mean(untold)


def test_repeats_are_averaged_and_rows_without_their_other_half_do_not_count():
    rows = design(8, 60)
    values = wavy(rows, 1)
    once = estimate_credits(rows, values, estimator="ridge_odd")
    again = np.concatenate([rows, rows[4:12], rows[4:12]])
    moved = np.concatenate([values, values[4:12] + 1, values[4:12] - 1])
    assert np.allclose(estimate_credits(again, moved, estimator="ridge_odd").values, once.values, atol=1e-12)
    single = next(row for row in all_coalitions(8) if not (rows == row).all(axis=1).any())
    more = np.concatenate([rows, [single]])
    with_single = estimate_credits(more, np.append(values, 1e6), estimator="ridge_odd")
    assert np.allclose(with_single.values, once.values, atol=1e-12)


@pytest.mark.parametrize("n_players", [6, 12, 40])
def test_fewer_pairs_than_credits_are_refused_and_one_more_than_that_answered(n_players):
    rows = propose_coalitions(n_players, 2 * n_players + 2, seed=0)
    values = wavy(rows, 0)
    credits = estimate_credits(rows, values, estimator="ridge_odd")
    assert np.isfinite(credits.values).all() and credits.low_budget
    with pytest.raises(UnidentifiedError, match=f"{n_players} credits .* {n_players - 1} complementary pairs"):
        estimate_credits(rows[:-2], values[:-2], estimator="ridge_odd")


def test_players_who_are_never_apart_are_refused():
    rows = design(6, 50)
    rows[:, 1] = rows[:, 0]
    with pytest.raises(UnidentifiedError, match="part all players"):
        estimate_credits(rows, np.random.default_rng(0).random(len(rows)), estimator="ridge_odd")


def test_unpaired_rows_are_refused_and_counted_as_such():
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.unique(rng.random((80, 15)) < 0.5, axis=0), [np.zeros(15, bool), np.ones(15, bool)]])
    assert paired_share(rows) == 0
    with pytest.raises(UnidentifiedError, match="0 complementary pairs"):
        estimate_credits(rows, rng.random(len(rows)), estimator="ridge_odd")


def test_pairs_are_found_wherever_they_stand():
    rows = np.random.default_rng(0).permutation(design(7, 40))
    lost = np.flatnonzero(rows.any(axis=1) & ~rows.all(axis=1))[:3]
    rows = np.delete(rows, lost, axis=0)
    first, second, single = match_pairs(rows)
    assert np.array_equal(rows[first], ~rows[second])
    assert sorted([*first, *second, *single]) == list(range(len(rows)))
    proper = len(rows) - 2
    assert paired_share(rows) == (2 * len(first) - 2) / proper  # ∅ and N are a pair, and are not counted


def test_hundreds_of_players_are_no_matter():
    rng = np.random.default_rng(0)
    half = rng.random((1500, 400)) < rng.random((1500, 1))
    half[0] = True
    rows = np.concatenate([half, ~half])
    weights = rng.lognormal(size=400)
    values = rows @ weights + 0.1 * rng.standard_normal(len(rows))
    credits = estimate_credits(rows, values, sizes=weights, estimator="ridge_odd")
    assert np.corrcoef(credits.values, weights)[0, 1] > 0.999
