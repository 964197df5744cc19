"""Players who left: credits of the rest, in the game that never has the leavers in it."""

import numpy as np
import pytest

from tasks.shapley import estimate_credits
from tests.games import all_coalitions
from tests.shapley.every_estimator import ANY_ROWS, NAMES, OWN_ROWS_ONLY, design, tolerance, wavy

LEAVERS = np.isin(np.arange(10), [2, 7])


def archive(budget: int = 300):
    """Rows of ten players of whom two left, among them the grand coalition of the other eight."""
    rows = np.concatenate([design(10, budget), [~LEAVERS]])
    return np.unique(rows, axis=0)


def truth():
    rest = all_coalitions(8)
    rows = np.zeros((256, 10), dtype=bool)
    rows[:, ~LEAVERS] = rest
    return estimate_credits(rest, wavy(rows, 4)).values


@pytest.mark.parametrize("name", OWN_ROWS_ONLY)
def test_least_squares_answer_as_if_rows_with_leavers_had_never_been(name):
    rows = archive()
    values = wavy(rows, 4)
    own = ~rows[:, LEAVERS].any(axis=1)
    sizes = np.linspace(1, 3, 10)
    assert 70 < own.sum() < 100
    here = estimate_credits(rows, values, sizes=sizes, estimator=name, former=LEAVERS)
    there = estimate_credits(rows[own][:, ~LEAVERS], values[own], sizes=sizes[~LEAVERS], estimator=name)
    assert np.array_equal(here.values, there.values) and np.array_equal(here.covariance, there.covariance)
    assert here.n_evaluations == there.n_evaluations == own.sum()
    assert (here.grand, here.empty) == (there.grand, there.empty)


@pytest.mark.parametrize("name", ANY_ROWS)
def test_rows_with_leavers_inform_an_estimator_that_can_use_them(name):
    rows = archive()
    values, sizes = wavy(rows, 4), np.ones(10)
    own = np.flatnonzero(~rows[:, LEAVERS].any(axis=1))
    few = np.isin(np.arange(len(rows)), own[::4]) | rows[:, LEAVERS].any(axis=1) | ~rows.any(axis=1)
    few |= (rows == ~LEAVERS).all(axis=1)
    rows, values = rows[few], values[few]
    with_leavers = estimate_credits(rows, values, sizes=sizes, estimator=name, former=LEAVERS)
    alone = ~rows[:, LEAVERS].any(axis=1)
    without = estimate_credits(rows[alone][:, ~LEAVERS], values[alone], sizes=sizes[~LEAVERS], estimator=name)
    errors = [np.linalg.norm(c.excess - (truth() - truth().mean())) for c in (with_leavers, without)]
    assert errors[0] < errors[1]
    width = [np.trace(c.excess_covariance) for c in (with_leavers, without)]
    assert width[0] < width[1]
    assert with_leavers.n_evaluations == len(rows)


@pytest.mark.parametrize("name", NAMES)
def test_credits_are_those_of_the_present_players_in_the_order_of_their_columns(name):
    rows = archive()
    credits = estimate_credits(rows, wavy(rows, 4), estimator=name, former=LEAVERS)
    assert credits.values.shape == (8,) and credits.covariance.shape == (8, 8)
    assert credits.present is not None and np.array_equal(credits.present, ~LEAVERS)
    assert np.corrcoef(credits.values, truth())[0, 1] > (0.6 if name == "kernelshap" else 0.95)
    grand = wavy(~LEAVERS[None], 4)[0]
    assert credits.grand == pytest.approx(grand)
    assert credits.values.sum() == pytest.approx(grand - credits.empty)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_having_left_is_the_same_as_saying_nothing(name):
    rows = design(7, 40)
    here = estimate_credits(rows, wavy(rows, 0), estimator=name)
    there = estimate_credits(rows, wavy(rows, 0), estimator=name, former=np.zeros(7, dtype=bool))
    assert np.abs(here.values - there.values).max() <= tolerance(name) * np.ptp(here.values)


def test_all_coalitions_of_the_present_players_are_a_complete_table():
    rows = np.unique(np.concatenate([all_coalitions(6), design(6, 20)]), axis=0)
    former = np.arange(6) == 5
    credits = estimate_credits(rows, wavy(rows, 0), former=former)
    assert credits.estimator == "definition" and credits.n_evaluations == 32


@pytest.mark.parametrize("name", NAMES)
def test_the_new_grand_coalition_must_have_been_evaluated(name):
    rows = design(10, 100)
    rows = rows[~(rows == ~LEAVERS).all(axis=1)]
    with pytest.raises(ValueError, match=r"grand coalition .v of everybody but the 2 former players.; .*evaluate"):
        estimate_credits(rows, wavy(rows, 0), estimator=name, former=LEAVERS)


def test_former_players_are_named_by_a_mask_that_leaves_somebody():
    rows = design(6, 40)
    values = wavy(rows, 0)
    for former, message in (
        (np.ones(6, dtype=bool), "6 of 6 players are former"),
        (np.arange(6) > 0, "5 of 6 players are former"),
        (np.ones(5, dtype=bool), "6 columns"),
        ([2], "boolean"),
    ):
        with pytest.raises(ValueError, match=message):
            estimate_credits(rows, values, former=former)
