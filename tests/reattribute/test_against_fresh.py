"""A re-attribution held against a fresh start: figures by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from tasks.reattribute.against_fresh import compare_with_fresh, table
from tasks.statements.read import PastContributor, PastProperty, PastStatement


def past(excess: dict[str, float], half: float, **counts: int) -> PastStatement:
    """A statement of one property."""
    credits = pd.DataFrame(
        {
            "contributor": list(excess),
            "loss_excess": list(excess.values()),
            "loss_excess_low": [value - half for value in excess.values()],
            "loss_excess_high": [value + half for value in excess.values()],
        }
    )
    people = tuple(PastContributor(name, name[0] * 64, 10.0, ()) for name in excess)
    return PastStatement(
        run="r", created=datetime(2026, 1, 1, tzinfo=UTC), epoch=1, contributors=people, credits=credits,
        properties=(PastProperty("loss", -1, "", "gp"),), study={}, evaluations=counts, where="studies/x/r",
    )  # fmt: skip


AGAIN = past({"a": 3.0, "b": 1.0, "c": 0.5, "d": -4.5}, half=2.0, new=20, cached=30)
FRESH = past({"d": -2.5, "c": 1.0, "b": 0.5, "a": 3.0}, half=1.0, new=50, cached=10)


def test_costs_widths_ranks_and_what_joiners_lack_are_what_they_are_by_hand() -> None:
    found = compare_with_fresh(AGAIN, FRESH, new=20, asked=60, joined=["d"])
    assert (found.new, found.fresh) == (20, 60) and found.part == pytest.approx(1 / 3)
    (loss,) = found.agreements
    assert loss.wider == pytest.approx(2.0)
    assert loss.spearman == pytest.approx(0.8)  # b and c have changed places
    assert (loss.inside, loss.contributors) == (3, 4)
    assert loss.shift == pytest.approx(-2.0)
    assert "3 of 4" in "\n".join(table(found))


def test_statements_about_others_are_not_compared() -> None:
    other = replace(FRESH, contributors=FRESH.contributors[1:])
    with pytest.raises(ValueError, match="different contributors"):
        compare_with_fresh(AGAIN, other, new=1, asked=2, joined=[])
