"""Which epoch a run belongs to: every rule, and that drift is a distance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.digest import sha256
from tasks.epoch.choose import Choice, choose, drift, in_words
from tasks.epoch.records import EpochRecord
from tasks.epoch_spec import EpochSpec
from tasks.recipe import Recipe

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HELDOUT = ("heldout", 0.2)
weighed = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.01, 3), max_size=8)


def images(*names: str, heldout: tuple[str, ...] = ("h",)) -> Recipe:
    """A data recipe of these images, each of one owner."""
    return Recipe(
        "data",
        {
            "preprocessing": 1,
            "resolution": 8,
            "train": [[sha256(name.encode()), 1.0] for name in sorted(names)],
            "heldout": [sha256(name.encode()) for name in heldout],
        },
    )


def epoch(number: int, data: Recipe, days: float = 1.0, **fields: Any) -> EpochRecord:
    """One that was opened so many days ago."""
    given = {
        "study": "art", "number": number, "opened": NOW - timedelta(days=days), "why": "it is the first of this study",
        "reference": "1" * 64, "pruned": "2" * 64, "heldout": HELDOUT, "contributors": 3, "data": data.spec,
        "pixels": "3" * 64,
    }  # fmt: skip
    return EpochRecord.model_validate({**given, **fields})


def chosen(
    epochs: list[EpochRecord],
    data: Recipe,
    *,
    new: bool = False,
    fits: bool = True,
    trained: bool = True,
    heldout: tuple[str, float] = HELDOUT,
    **rule: Any,
) -> Choice:
    return choose(
        epochs,
        data,
        EpochSpec(**rule),
        heldout=heldout,
        fits=lambda record: fits,
        trained=lambda record: trained,
        now=NOW,
        new=new,
    )


ABCD = images("a", "b", "c", "d")


def test_the_first_run_of_a_study_opens_an_epoch() -> None:
    found = chosen([], ABCD)
    assert found.epoch is None and in_words(found) == "a new one opens: it is the first of this study"


def test_the_same_images_go_on_however_old_the_epoch_is_and_though_a_new_one_is_asked_for() -> None:
    there = [epoch(1, ABCD, days=900)]
    assert chosen(there, ABCD, maximum_days=1, drift=0).epoch == there[0]
    found = chosen(there, ABCD, new=True)
    assert found.epoch == there[0] and "would be the same: change model.seed" in found.why


def test_a_little_drift_goes_on_and_is_told_and_too_much_opens_a_new_one() -> None:
    there = [epoch(1, ABCD)]
    found = chosen(there, images("a", "b", "c", "x"), drift=0.5)
    assert found.epoch == there[0] and found.drift == pytest.approx(0.4)  # three of five images in common
    assert "40.0% of the training images" in found.why
    found = chosen(there, images("a", "b", "c", "x"), drift=0.3)
    assert found.epoch is None and found.last_drift == pytest.approx(0.4) and found.drift == 0
    assert "more than epoch.drift 30%" in found.why


def test_held_out_images_that_change_are_no_drift_of_training_images() -> None:
    there = [epoch(1, ABCD)]
    found = chosen(there, images("a", "b", "c", "d", heldout=("h", "i")), drift=0)
    assert found.epoch == there[0] and found.drift == 0


def test_an_old_epoch_ends_when_the_images_have_changed() -> None:
    there = [epoch(1, ABCD, days=40)]
    assert chosen(there, images("a", "b", "c", "d", "e"), maximum_days=50).epoch == there[0]
    found = chosen(there, images("a", "b", "c", "d", "e"), maximum_days=30)
    assert found.epoch is None and "epoch 1 is 40 days old" in found.why


def test_a_new_one_that_is_asked_for_opens_if_anything_has_changed() -> None:
    assert chosen([epoch(1, ABCD)], images("a", "b", "c"), new=True).why == "it was asked for"


def test_other_settings_open_a_new_one_and_the_older_settings_find_the_older_one_again() -> None:
    there = [epoch(1, ABCD), epoch(2, images("a", "b"), heldout=("other", 0.2))]
    assert chosen(there, ABCD).epoch == there[0]
    assert chosen(there, images("a", "b"), heldout=("other", 0.2)).epoch == there[1]
    found = chosen(there, ABCD, fits=False)
    assert found.epoch is None and "not those of epoch 2" in found.why


def test_an_epoch_for_which_nothing_was_made_does_not_bind_anybody_to_its_images() -> None:
    found = chosen([epoch(1, ABCD)], images("a", "b", "c", "d", "e"), trained=False)
    assert found.epoch is None and "nothing was made for it" in found.why
    assert chosen([epoch(1, ABCD)], ABCD, trained=False).epoch is not None


@given(weighed, weighed)
def test_drift_is_nothing_for_equal_images_the_same_both_ways_and_between_0_and_1(
    then: dict[str, float], now: dict[str, float]
) -> None:
    there = drift(then.items(), now.items())
    assert 0 <= there <= 1 and there == pytest.approx(drift(now.items(), then.items()))
    assert drift(then.items(), then.items()) == 0
    if then and now and not then.keys() & now.keys():
        assert there == 1


@given(weighed, weighed, weighed)
def test_drift_obeys_the_triangle_inequality(a: dict[str, float], b: dict[str, float], c: dict[str, float]) -> None:
    ab, bc, ac = (drift(x.items(), y.items()) for x, y in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + 1e-9
