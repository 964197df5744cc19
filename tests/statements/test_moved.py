"""What has moved since the last statement, with figures made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.store import Store
from tasks.publish import PropertyResult, StatementData
from tasks.shapley import Credits
from tasks.statements.moved import changes_since
from tasks.statements.read import PastStatement, latest_statement
from tasks.statements.types import Move, Since
from tasks.study import Study
from tests.statements.published import Who, publish, statement

Z = 1.6448536269514722  # half-width of a 90 % interval, in standard errors


def result_of(values: list[float], half: float | list[float], **changes: Any) -> PropertyResult:
    """Credits with these values, and excess intervals of these half-widths."""
    n = len(values)
    halves = np.broadcast_to(np.asarray(half, dtype=float), (n,))
    credits = _Given(
        values=np.array(values),
        covariance=np.diag((halves / Z) ** 2),
        degrees_of_freedom=np.inf,
        grand=float(sum(values)),
        empty=0.0,
        n_evaluations=60,
        estimator=changes.pop("estimator", "default"),
        efficiency_gap=0.0,
        efficiency_gap_se=0.0,
    )
    result = PropertyResult("warmth", 1, "points", "How warm.", credits, 1.0, 0.1, 0.9, 4)
    return replace(result, **changes)


class _Given(Credits):
    """Credits whose excess intervals are those of the given covariance."""

    @property
    def excess_covariance(self) -> Any:
        return self.covariance


def since(
    then: dict[Who, float],
    now: dict[Who, float],
    store: Store,
    *,
    halves: tuple[float | list[float], float | list[float]] = (0.3, 0.4),
    epochs: tuple[int | None, int] = (1, 1),
    study: Study | None = None,
    later: dict[str, Any] | None = None,
    identities: dict[str, Any] | None = None,
) -> Since:
    """Publish the first, read it back, and compare the second with it. `later` are changes of the property's result."""
    publish(_data(then, halves[0], epoch=epochs[0], study=Study(name="art")), store)
    before = latest_statement(store, "art")
    assert isinstance(before, PastStatement)
    data = _data(now, halves[1], study=study or Study(name="art"))
    results = (replace(result_of(list(now.values()), halves[1], **(later or {}))),)
    return changes_since(
        before,
        data.study,
        data.partition,
        results,
        epoch=epochs[1],
        identities=identities or {},
        from_samples=("warmth",),
    )


def _data(figures: dict[Who, float], half: float | list[float], **changes: Any) -> StatementData:
    return statement(*figures, results=(result_of(list(figures.values()), half),), **changes)


def rows(found: Since) -> dict[str, Move]:
    (moves,) = found.properties
    return {row.name: row for row in moves.rows}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


A, B, C, D = (("A", "a"), ("B", "b"), ("C", "c"), ("D", "d"))


def test_a_contributor_has_moved_by_more_than_both_half_widths_together_and_not_by_less(store: Store) -> None:
    # excess before: +1, 0, −1; now +1.49, −0.49, −1 and +1.51, −0.51, −1: half-width √(0.3² + 0.4²) = 0.5
    before = {A: 11.0, B: 10.0, C: 9.0}
    found = since(before, {A: 11.49, B: 9.51, C: 9.0}, store)
    assert {row.status for row in rows(found).values()} == {"within noise"}
    found = since(before, {A: 11.51, B: 9.49, C: 9.0}, Store(store.url + "-2"))
    assert {name: row.status for name, row in rows(found).items()} == {
        "A": "moved", "B": "moved", "C": "within noise"
    }  # fmt: skip
    a = rows(found)["A"]
    assert a.half == pytest.approx(0.5) and a.difference == pytest.approx(0.51)
    assert a.before is not None and a.before == pytest.approx((1.0, 0.7, 1.3))
    assert a.now is not None and a.now == pytest.approx((1.51, 1.11, 1.91))
    assert found.properties[0].counts == {"moved": 2, "within noise": 1}
    assert any("is cautious" in note for note in found.notes)


def test_who_joins_and_leaves_moves_nobody_else_though_everybodys_excess_shifts(store: Store) -> None:
    found = since({A: 3.0, B: -1.0, C: -2.0}, {A: 1.0, B: -3.0, D: 2.0}, store, halves=(0.1, 0.1))
    assert {name: row.status for name, row in rows(found).items()} == {
        "A": "within noise", "B": "within noise", "D": "new", "C": "gone"
    }  # fmt: skip
    assert rows(found)["A"].difference == pytest.approx(0.0, abs=1e-12)
    assert (found.properties[0].centre_before, found.properties[0].centre_now) == pytest.approx((1.0, -1.0))
    assert rows(found)["D"].before is None and rows(found)["C"].now is None
    assert any("2 contributors who are in both" in note for note in found.notes)
    assert found.people.sentence() == "1 joined (D), 1 left (C)"


def test_a_new_name_is_the_same_contributor_and_changed_images_are_marked(store: Store) -> None:
    found = since({A: 1.0, B: 0.0, C: -1.0}, {("Z", "a"): 1.0, ("B", "f"): 0.0, C: -1.0}, store)
    z = rows(found)["Z"]
    assert (z.formerly, z.status, z.changed) == ("A", "within noise", False)
    assert rows(found)["B"].changed and not rows(found)["C"].changed
    assert not any("joins or leaves" in note for note in found.notes)


def test_without_an_interval_nothing_is_known_and_with_one_of_no_width_rounding_is_no_move(store: Store) -> None:
    same = {A: 0.1 + 0.2, B: 0.0, C: -0.3}
    found = since(same, {A: 0.3, B: 0.0, C: -0.3}, store, halves=(0.0, 0.0))
    assert {row.status for row in rows(found).values()} == {"within noise"}
    found = since(same, same, Store(store.url + "-2"), halves=(0.3, [np.inf, 0.1, np.nan]))
    assert {name: row.status for name, row in rows(found).items()} == {
        "A": "not known", "B": "within noise", "C": "not known"
    }  # fmt: skip
    assert rows(found)["A"].difference is None is rows(found)["C"].half


def test_one_contributor_in_common_says_nothing_of_moves(store: Store) -> None:
    found = since({A: 5.0, C: 1.0}, {A: 1.0, D: 2.0}, store, halves=(0.1, 0.1))
    assert rows(found)["A"].status == "not known"
    assert any("Fewer than two" in note for note in found.notes)


def test_another_epoch_is_compared_and_said(store: Store) -> None:
    found = since({A: 1.0, B: 0.0}, {A: 1.0, B: 0.0}, store, epochs=(1, 2))
    assert rows(found)["A"].status == "within noise" and (found.epoch_before, found.epoch_now) == (1, 2)
    notes = " ".join(found.notes)
    assert "epoch 1, this one on epoch 2" in notes and "by chance alone" in notes and "cautious" not in notes
    found = since({A: 1.0, B: 0.0}, {A: 1.0, B: 0.0}, Store(store.url + "-2"), epochs=(None, 1))
    assert rows(found)["A"].status == "within noise" and any("older than epochs" in note for note in found.notes)


@pytest.mark.parametrize(
    ("study", "later", "reason"),
    [
        ({"coalition": {"steps": 99}}, {}, "coalition.steps was 150 and is 99"),
        ({"sampling": {"images": 64}}, {}, "sampling.images was 256 and is 64"),
        ({"properties": {"clusters": 4}}, {}, "properties.clusters was 12 and is 4"),
        ({"pruning": {"ratio": 0.5}}, {}, "pruning.ratio was 0.3 and is 0.5"),
        ({}, {"unit": "degrees"}, "unit was 'points' and is 'degrees'"),
        ({}, {"sign": -1}, "sign was 1 and is -1"),
    ],
)
def test_figures_of_another_making_are_not_compared(
    study: dict[str, Any], later: dict[str, Any], reason: str, store: Store
) -> None:
    wanted = Study.model_validate({"name": "art", **study})
    (moves,) = since({A: 1.0, B: 0.0}, {A: 9.0, B: 0.0}, store, study=wanted, later=later).properties
    assert moves.incomparable is not None and reason in moves.incomparable and moves.rows == ()


def test_another_estimator_is_of_the_same_value_and_said(store: Store) -> None:
    found = since({A: 1.0, B: 0.0}, {A: 9.0, B: 0.0}, store, later={"estimator": "definition"})
    assert rows(found)["A"].status == "moved"
    assert any("by 'default', these are by 'definition'" in note for note in found.notes)


@pytest.mark.parametrize(
    "study",
    [
        {"estimation": {"budget": 8}},
        {"execution": {"workers": 3}},
        {"coalition": {"audit_seeds": [7], "retrain_steps": 3}},
        {"properties": {"names": ["heldout_loss"]}},
        {"model": {"seed": 4}},
        {"model": {"lora_rank": 4, "options": {"of": "another family"}}},
        {"sampling": {"prompts": ["a cat"], "guidance": 3}},
        {"data": {"url": "elsewhere"}},
    ],
)
def test_settings_that_change_no_figure_do_not_matter(study: dict[str, Any], store: Store) -> None:
    wanted = Study.model_validate({"name": "art", **study})
    (moves,) = since({A: 1.0, B: 0.0}, {A: 1.0, B: 0.0}, store, study=wanted).properties
    assert moves.incomparable is None


def test_a_property_that_measures_otherwise_is_not_compared_and_one_that_does_not_is(store: Store) -> None:
    was = {"name": "warmth", "version": 1, "options": {"source_sha256": "aa"}}
    data = _data({A: 1.0, B: 0.0}, 0.1, manifest={"identities": {"warmth": was}}, study=Study(name="art"))
    publish(data, store)
    before = latest_statement(store, "art")
    assert before is not None
    study = Study.model_validate({"name": "art", "properties": {"clusters": 4}, "sampling": {"steps": 3}})

    def reason(identity: dict[str, Any]) -> str | None:
        (moves,) = changes_since(
            before, study, data.partition, data.results, epoch=1, identities={"warmth": identity}, from_samples=()
        ).properties
        return moves.incomparable

    assert reason(was) is None, "of weights, and no other option than before"
    other = reason({**was, "options": {"source_sha256": "bb"}})
    assert other is not None and "source_sha256 was 'aa' and is 'bb'" in other


def test_a_form_of_another_version_is_not_guessed_at(store: Store) -> None:
    publish(_data({A: 1.0, B: 0.0}, 0.1), store)
    before = latest_statement(store, "art")
    assert before is not None
    before = replace(before, study={"coalition": {"a_field_of_tomorrow": 1}})
    data = _data({A: 1.0, B: 0.0}, 0.1)
    (moves,) = changes_since(
        before, Study(), data.partition, data.results, epoch=1, identities={}, from_samples=()
    ).properties
    assert moves.incomparable is not None and "a_field_of_tomorrow" in moves.incomparable


def test_properties_that_are_in_one_statement_only_are_named(store: Store) -> None:
    publish(_data({A: 1.0, B: 0.0}, 0.1), store)
    before = latest_statement(store, "art")
    assert before is not None
    data = _data({A: 1.0, B: 0.0}, 0.1)
    results = (replace(data.results[0], name="cold"),)
    found = changes_since(before, Study(), data.partition, results, epoch=1, identities={}, from_samples=())
    assert found.properties == ()
    assert found.notes == (
        "cold is not in the last statement.",
        "warmth was in the last statement and is not in this one.",
    )
