"""Exact credits from all coalitions, and methods' distance from them."""

import numpy as np
import pytest

from tasks.validation.exact import Method, compare_with_exact, exact_credits
from tests.games import all_coalitions, random_table


def test_all_coalitions_in_any_order_give_the_definition_and_a_missing_one_is_counted():
    game, rng = random_table(5, 2), np.random.default_rng(0)
    rows = rng.permutation(all_coalitions(5))
    assert np.allclose(exact_credits(rows, game.value(rows)), game.credits, atol=1e-12)
    inside = np.flatnonzero(rows.any(axis=1) & ~rows.all(axis=1))
    short = np.delete(rows, inside[:3], axis=0)
    with pytest.raises(ValueError, match="need all 32 coalitions; 3 of them were not evaluated"):
        exact_credits(short, game.value(short))


def test_the_table_of_methods_by_hand():
    exact = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    found = compare_with_exact(
        exact,
        {
            "itself, another baseline": Method(exact - 7, exact - 7.5, exact - 6.5),
            "reversed": Method(-exact),
            "one off": Method(exact + np.array([0, 0, 0, 0, 5]), exact - 1, exact + np.array([1, 1, -0.5, 1, 1])),
            "in shares": Method(exact / 20, in_unit=False),
            "flat": Method(np.zeros(5)),
        },
        seed=0,
    ).to_dict("records")
    itself, backwards, off, shares, flat = found
    assert [row["method"] for row in found] == ["itself, another baseline", "reversed", "one off", "in shares", "flat"]
    assert [itself[k] for k in ("pearson", "spearman", "error", "covered")] == pytest.approx([1, 1, 0, 0])
    assert [backwards[k] for k in ("pearson", "spearman")] == pytest.approx([-1, -1])
    assert backwards["error"] == pytest.approx(2 * np.abs(exact - 4).mean() / exact.std())
    assert backwards["covered"] is None
    assert off["error"] == pytest.approx((4 * 1 + 4) / 5 / exact.std())
    assert off["covered"] == pytest.approx(0.8)
    assert shares["error"] is None and "unit" in shares["reason"]
    assert shares["pearson"] == pytest.approx(1)
    assert flat["spearman"] is None and "one value only" in flat["reason"]
    assert flat["error"] == pytest.approx(np.abs(exact - 4).mean() / exact.std())
    assert not any(isinstance(x, float) and np.isnan(x) for row in found for x in row.values())


def test_equal_exact_credits_and_half_an_interval_are_told():
    row = compare_with_exact(np.ones(5), {"m": Method(np.arange(5.0))}, seed=0).to_dict("records")[0]
    assert row["error"] is None and "exact credits are all equal" in row["reason"]
    with pytest.raises(ValueError, match="intervals of m need both ends"):
        compare_with_exact(np.arange(5.0), {"m": Method(np.arange(5.0), low=np.zeros(5))}, seed=0)
    with pytest.raises(ValueError, match="5 pairs of low <= high"):
        compare_with_exact(np.arange(5.0), {"m": Method(np.arange(5.0), np.ones(5), np.zeros(5))}, seed=0)
    with pytest.raises(ValueError, match="credits of m have shape"):
        compare_with_exact(np.arange(5.0), {"m": Method(np.arange(4.0))}, seed=0)
