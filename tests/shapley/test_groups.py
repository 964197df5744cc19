"""Credits of several players together, and what estimators believe of single coalitions."""

import numpy as np
import pytest
from scipy import stats

from tasks.estimator_facts import PREDICTING
from tasks.shapley import Credits, MeasuredNoise, estimate_credits
from tests.games import all_coalitions
from tests.shapley.every_estimator import NAMES, OWN_ROWS_ONLY, design, wavy


def some(name: str, n_players: int = 9, budget: int = 70) -> tuple[Credits, np.ndarray, np.ndarray]:
    rows = design(n_players, budget)
    values = wavy(rows, 2) + 0.05 * np.random.default_rng(0).standard_normal(len(rows))
    return estimate_credits(rows, values, estimator=name), rows, values


@pytest.mark.parametrize("name", NAMES)
def test_everybody_together_have_the_rise(name):
    credits, *_ = some(name)
    value, low, high = credits.group(np.ones(9, dtype=bool), 0.8)
    assert value == pytest.approx(credits.grand - credits.empty, abs=1e-9)
    assert low <= value <= high
    half = np.sqrt(credits.covariance.sum())
    assert credits.group(range(9), 0.8) == pytest.approx((value, low, high))
    assert credits.group(range(9), 0.99)[2] - value >= high - value
    quantile = stats.t.ppf(0.9, credits.degrees_of_freedom)
    assert (high - low) / 2 == pytest.approx(quantile * half, abs=1e-9)
    excess, low, high = credits.excess_group(range(9))
    assert (excess, low, high) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_group_of_one_is_that_players_own_interval(name):
    credits, *_ = some(name)
    low, high = credits.interval(0.9)
    assert credits.group([3], 0.9) == pytest.approx((credits.values[3], low[3], high[3]))
    low, high = credits.excess_interval(0.9)
    assert credits.excess_group([3], 0.9) == pytest.approx((credits.excess[3], low[3], high[3]))


def test_a_groups_interval_knows_how_its_members_errors_go_together():
    opposed = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    credits = Credits(np.array([1.0, 2.0, 3.0]), opposed, np.inf, 6.0, 0.0, 9, "gp")
    assert credits.group([0, 1]) == pytest.approx((3, 3, 3))  # what one has too much the other has too little
    value, low, high = credits.group([1, 2], 0.9)
    assert value == 5 and high - value == pytest.approx(1.6449 * np.sqrt(2), abs=1e-3) == value - low


def test_groups_cover_as_often_as_they_say():
    rows, covered = design(8, 60), []
    weights = np.linspace(0, 1, 8)
    truth = weights[[0, 2, 5]].sum()
    rng = np.random.default_rng(0)
    for _ in range(150):
        credits = estimate_credits(
            rows, rows @ weights + 0.2 * rng.standard_normal(len(rows)), estimator="kernelshap_sizes"
        )
        _, low, high = credits.group([0, 2, 5], 0.9)
        covered.append(low <= truth <= high)
    assert 0.84 < np.mean(covered) < 0.96


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one player"),
        (np.zeros(9, dtype=bool), "at least one player"),
        (np.ones(8, dtype=bool), "8 entries, but there are 9"),
        ([9], "positions from 0 to 8"),
        ([-1], "positions from 0 to 8"),
        ([2, 2], "different positions"),
        ([0.5], "boolean or positions"),
        ([[0]], "by positions"),
    ],
)
def test_groups_of_nobody_or_of_strangers_are_refused(members, message):
    with pytest.raises(ValueError, match=message):
        some("kernelshap_sizes")[0].group(members)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_meet_the_baseline_and_come_near_the_rest_or_are_refused_by_name(name):
    credits, rows, values = some(name)
    if name not in PREDICTING:
        with pytest.raises(ValueError, match=f"{name} has no model of v.*default, gp"):
            credits.predict(rows)
        return
    mean, sd = credits.predict(rows)
    nobody = ~rows.any(axis=1)
    assert mean[nobody] == values[nobody]
    assert abs(mean[rows.all(axis=1)][0] - credits.grand) <= 4 * credits.efficiency_gap_se + 1e-9
    unseen = all_coalitions(9)[1:]
    truth = wavy(unseen, 2)
    mean, sd = credits.predict(unseen)
    assert mean.shape == sd.shape == (511,)
    assert (sd >= 0).all()
    better = 0.6 if name == "kernelshap" else 0.9  # a line through v(∅) carries the curve as error
    assert np.corrcoef(mean, truth)[0, 1] > better
    assert (np.abs(mean - truth) <= 2 * sd)[:-1].mean() > 0.8


def test_a_complete_table_predicts_itself_and_says_how_noisy_it_is():
    rows = np.random.default_rng(0).permutation(all_coalitions(5))
    values = wavy(rows, 0)
    mean, sd = estimate_credits(rows, values, noise=MeasuredNoise(0.04)).predict(rows)
    assert np.array_equal(mean, values) and np.allclose(sd, 0.2)


def test_what_an_additive_fit_believes_is_its_sum_of_credits():
    rows = design(7, 40)
    credits = estimate_credits(rows, wavy(rows, 1), estimator="kernelshap")
    assert np.allclose(credits.predict(rows)[0], credits.empty + rows @ credits.values)


def test_sizes_that_no_row_has_are_predicted_as_unknown_and_not_made_up():
    # Seven free columns fitted to four sizes: what the curve does in the middle is anybody's guess.
    everything = all_coalitions(8)
    rows = everything[np.isin(everything.sum(axis=1), [0, 1, 2, 6, 7, 8])]
    credits = estimate_credits(rows, rows @ np.arange(8.0), estimator="kernelshap_sizes")
    mean, _ = credits.predict(np.arange(8) < np.array([[4], [2]]))
    assert np.isnan(mean[0]) and mean[1] == pytest.approx(1.0)


@pytest.mark.parametrize("name", [name for name in NAMES if name in PREDICTING])
def test_coalitions_of_other_shapes_are_refused(name):
    credits, rows, _ = some(name)
    for wrong, message in (
        (rows[:, :5], "5 columns, but there are 9"),
        (rows.astype(int), "boolean"),
        (rows[0], "row"),
    ):
        with pytest.raises(ValueError, match=message):
            credits.predict(wrong)


@pytest.mark.parametrize("name", [name for name in OWN_ROWS_ONLY if name in PREDICTING])
def test_a_model_of_the_present_players_is_not_asked_about_former_ones(name):
    rows = design(8, 60)
    former = np.arange(8) == 2
    kept = np.concatenate([rows, [~former]])
    credits = estimate_credits(kept, wavy(kept, 0), estimator=name, former=former)
    assert np.isfinite(credits.predict(kept[~kept[:, 2]])[0]).all()
    with pytest.raises(ValueError, match="former"):
        credits.predict(kept)
