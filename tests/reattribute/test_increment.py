"""Inside an epoch only a part of the budget is evaluated anew, and only what has changed makes evaluations unusable."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pandas as pd
import pytest

from infra.store import Store, StoreError
from tasks.reattribute.increment import increment, usable_coalitions
from tasks.reattribute.news import _other_settings
from tasks.statements.people import People
from tasks.statements.read import PastStatement, latest_statement
from tasks.study import Study
from tests.chain import with_field
from tests.statements.published import publish, statement

_fresh = itertools.count()
NOBODY = People((), (), (), (), ("a", "b", "c"))
STUDY = Study.model_validate({"estimation": {"budget": 60}, "epoch": {"increment": 0.3}})


@pytest.fixture
def store() -> Iterator[Store]:
    yield Store(f"memory://increment-{next(_fresh)}")


def past(store: Store, rows: list[tuple[str, tuple[str, ...], str | None]]) -> PastStatement:
    """A statement of a, b and c that rests on these evaluations: role, members, failure."""
    data = statement(("a", "a"), ("b", "b"), ("c", "c"))
    columns = {name: data.evaluations[name].iloc[:1].tolist() * len(rows) for name in data.evaluations}
    columns |= {
        "role": [role for role, _, _ in rows],
        "members": [list(members) for _, members, _ in rows],
        "failure": [why for _, _, why in rows],
    }
    publish(statement(("a", "a"), ("b", "b"), ("c", "c"), evaluations=pd.DataFrame(columns)), store)
    read = latest_statement(store, "art")
    assert read is not None
    return read


ROWS = [
    ("baseline", (), None),
    ("grand", ("a", "b", "c"), None),
    ("design", ("a",), None),
    ("design", ("a", "c"), None),
    ("archive", ("a", "c"), None),  # the same once more
    ("design", ("b",), "diverged"),
    ("audit", ("c",), None),
    ("archive", ("b", "z"), None),  # with somebody who had left before
]


def test_what_counts_is_each_coalition_with_a_value_of_whom_nothing_has_changed(store: Store) -> None:
    last = past(store, ROWS)
    assert usable_coalitions(last, NOBODY, store) == 4
    assert usable_coalitions(last, People(("d",), (), (), (), ("a", "b", "c")), store) == 4
    assert usable_coalitions(last, People((), ("b",), (), (), ("a", "c")), store) == 3
    assert usable_coalitions(last, People((), (), ("a",), (), ("b", "c")), store) == 1
    assert usable_coalitions(last, People((), (), (), (("a", "A"),), ("b", "c")), store) == 4  # only the name


def test_evaluations_that_cannot_be_read_stop_it_by_name(store: Store) -> None:
    last = past(store, ROWS)
    store.write(f"{last.where}/evaluations.parquet", b"no parquet")
    with pytest.raises(StoreError, match=r"evaluations\.parquet"):
        usable_coalitions(last, NOBODY, store)


@pytest.mark.parametrize(
    "people",
    [
        People(("d",), (), (), (), ("a", "b", "c")),
        People((), ("c",), (), (), ("a", "b")),
        People((), (), ("c",), (), ("a", "b")),
    ],
)
def test_a_change_may_cost_the_increment_besides_what_counts(people: People) -> None:
    run = increment(STUDY, people, usable=40)
    assert run.estimation.design == "a_optimal" and run.estimation.budget == 40 + 18
    assert run.model_copy(update={"estimation": STUDY.estimation}) == STUDY  # and nothing else is another


def test_a_new_name_may_cost_nothing() -> None:
    assert increment(STUDY, People((), (), (), (("a", "A"),), ("b", "c")), usable=40).estimation.budget == 40


def test_where_nothing_counts_or_only_the_designs_own_rows_may_be_used_the_study_is_run_as_it_is() -> None:
    joined = People(("d",), (), (), (), ("a", "b", "c"))
    assert increment(STUDY, joined, usable=0) == STUDY
    papers = with_field(with_field(STUDY, "estimation.design", "kernelshap"), "estimation.estimator", "kernelshap")
    assert increment(papers, joined, usable=40) == papers
    alone = with_field(STUDY, "estimation.reuse", False)
    assert increment(alone, joined, usable=40) == alone


@pytest.mark.parametrize(
    ("path", "value", "sections"),
    [
        ("coalition.steps", 7, ("coalition",)),
        ("model.seed", 3, ("model",)),
        ("data.minimum_images", 2, ("data",)),
        ("properties.clusters", 5, ("properties",)),
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
