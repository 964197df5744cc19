"""Inside an epoch only a part of the budget is evaluated anew, and only what has changed makes evaluations unusable."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.store import Store, StoreError
from tasks.reattribute.increment import increment, usable_coalitions
from tasks.reattribute.news import _other_settings
from tasks.recipe import Recipe, model_recipe
from tasks.statements.people import People, compare_people
from tasks.statements.read import PastStatement, latest_statement
from tasks.study import Study
from tests.chain import with_field
from tests.statements.published import partition_of, publish, statement

_fresh = itertools.count()
NOBODY = People((), (), (), (), ("a", "b", "c"))
STUDY = Study.model_validate({"estimation": {"budget": 60}, "epoch": {"increment": 0.3}})


@pytest.fixture
def store() -> Iterator[Store]:
    yield Store(f"memory://increment-{next(_fresh)}")


PRUNED = Recipe("pruned", {"reference": "r", "ratio": 0.5})
NAMES = {"a": "1", "b": "2", "c": "3", "z": "9"}  # and a letter of which the fingerprint is made
Row = tuple[str, tuple[str, ...], str | None]


def past(store: Store, rows: list[Row], how: Study = STUDY) -> PastStatement:
    """A statement of a, b and c that rests on these evaluations by this study: role, members, failure."""
    data = statement(*((name, NAMES[name]) for name in "abc"))
    columns = {name: data.evaluations[name].iloc[:1].tolist() * len(rows) for name in data.evaluations}
    columns |= {
        "role": [role for role, _, _ in rows],
        "members": [list(members) for _, members, _ in rows],
        "failure": [why for _, _, why in rows],
        "model_key": [model_recipe(PRUNED, (NAMES[m] * 64 for m in members), how, 0).key for _, members, _ in rows],
    }
    publish(statement(*((name, NAMES[name]) for name in "abc"), evaluations=pd.DataFrame(columns)), store)
    read = latest_statement(store, "art")
    assert read is not None
    return read


def usable(last: PastStatement, store: Store, now: list[tuple[str, str]], how: Study = STUDY) -> int:
    """How many count among these contributors of today."""
    partition = partition_of(*now)
    return usable_coalitions(last, compare_people(last, partition), how, partition, PRUNED, store)


ROWS: list[Row] = [
    ("baseline", (), None),
    ("grand", ("a", "b", "c"), None),
    ("design", ("a",), None),
    ("design", ("a", "c"), None),
    ("archive", ("a", "c"), None),  # the same once more
    ("design", ("b",), "diverged"),
    ("audit", ("c",), None),
    ("archive", ("b", "z"), None),  # with somebody who had left before
]
A, B, C, D = ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")


def test_what_counts_is_each_coalition_with_a_value_that_has_the_same_key_today(store: Store) -> None:
    last = past(store, ROWS)
    assert usable(last, store, [A, B, C]) == 3
    assert usable(last, store, [A, B, C, D]) == 3
    assert usable(last, store, [A, C]) == 2
    assert usable(last, store, [("a", "7"), B, C]) == 0  # a has other images, and is in all three
    assert usable(last, store, [("A", "1"), B, C]) == 3  # only the name


def test_under_another_recipe_nothing_counts_and_settings_that_change_no_key_change_nothing(store: Store) -> None:
    last = past(store, ROWS)
    for path, value, count in (
        ("coalition.steps", 7, 0),
        ("coalition.audit_seeds", [5], 3),
        ("sampling.batch_size", 3, 3),
        ("sampling.images", 64, 3),  # trained as before, only drawn anew
        ("properties.names", ["colourfulness"], 3),
    ):
        assert usable(last, store, [A, B, C], with_field(STUDY, path, value)) == count, path


def test_evaluations_that_cannot_be_read_stop_it_by_name(store: Store) -> None:
    last = past(store, ROWS)
    store.write(f"{last.where}/evaluations.parquet", b"no parquet")
    with pytest.raises(StoreError, match=r"evaluations\.parquet"):
        usable(last, store, [A, B, C])


@pytest.mark.parametrize(
    "people",
    [
        People(("d",), (), (), (), ("a", "b", "c")),
        People((), ("c",), (), (), ("a", "b")),
        People((), (), ("c",), (), ("a", "b")),
    ],
)
def test_a_change_may_cost_the_increment_besides_what_counts_however_much_that_is(people: People) -> None:
    for there in (40, 400, 4000):
        run = increment(STUDY, people, there, contributors=3)
        assert run.estimation.design == "a_optimal" and run.estimation.hard_budget
        assert run.estimation.budget == 1 + there + 18  # the empty coalition counts neither way
        assert run.model_copy(update={"estimation": STUDY.estimation}) == STUDY  # and nothing else is another


def test_a_new_name_or_a_new_property_may_cost_no_coalition() -> None:
    for people in (NOBODY, People((), (), (), (("a", "A"),), ("b", "c"))):
        assert increment(STUDY, people, 40, contributors=3).estimation.budget == 41


@given(st.integers(2, 40), st.integers(0, 300), st.integers(10, 400))
def test_where_too_little_would_be_left_to_build_on_the_studys_own_budget_is_asked_for(
    contributors: int, there: int, budget: int
) -> None:
    wanted = with_field(STUDY, "estimation.budget", budget)
    changed = People((), (), ("a",), (), ("b", "c"))
    run = increment(wanted, changed, there, contributors)
    if run != wanted:
        assert run.estimation.budget >= 3 * contributors
        assert run.estimation.budget - 1 - there <= 0.3 * budget + 1
    else:
        assert there == 0 or there + 0.3 * budget < 3 * contributors


def test_where_nothing_counts_or_only_the_designs_own_rows_may_be_used_the_study_is_run_as_it_is() -> None:
    joined = People(("d",), (), (), (), ("a", "b", "c"))
    assert increment(STUDY, joined, 0, contributors=4) == STUDY
    papers = with_field(with_field(STUDY, "estimation.design", "kernelshap"), "estimation.estimator", "kernelshap")
    alone = with_field(STUDY, "estimation.reuse", False)
    for other in (papers, alone):
        assert increment(other, joined, 40, contributors=4) == other


@pytest.mark.parametrize(
    ("path", "value", "sections"),
    [
        ("coalition.steps", 7, ("coalition",)),
        ("model.seed", 3, ("model",)),
        ("data.minimum_images", 2, ("data",)),
        ("properties.clusters", 5, ("properties",)),
        ("coalition.audit_seeds", [7], ("coalition",)),
        ("model.lora_rank", 4, ()),
        ("model.options", {"of": "another family"}, ()),
        ("sampling.prompts", ["a cat"], ()),
        ("data.url", "elsewhere", ()),
        ("data.only", ["a", "b"], ()),
        ("estimation.budget", 12, ()),
        ("execution.workers", 3, ()),
        ("epoch.drift", 0.9, ()),
    ],
)
def test_settings_that_decide_values_are_noticed_and_others_are_not(
    store: Store, path: str, value: object, sections: tuple[str, ...]
) -> None:
    last = past(store, ROWS)
    as_it_was = Study.model_validate(last.study)
    assert _other_settings(as_it_was, last) == ()
    assert _other_settings(with_field(as_it_was, path, value), last) == sections


def test_a_setting_that_an_older_statement_did_not_know_counts_as_its_default(store: Store) -> None:
    last = past(store, ROWS)
    del last.study["coalition"]["baseline"]
    assert _other_settings(Study.model_validate(last.study), last) == ()
