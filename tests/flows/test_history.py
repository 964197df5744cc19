"""`history` on real statements: what the last one says of the one before, and the page of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.attribute import attribute
from flows.history import history
from infra.store import Store
from tasks.housekeeping.survey import survey
from tasks.housekeeping.types import Rules
from tasks.publish.storage import remove_unfinished
from tests.flows.reading import latest, manifest
from tests.flows.seen import artifacts
from tests.small import DESIGNERS, small_study

LAST = DESIGNERS[3]


@pytest.fixture
def two(data: Path, finished: Store) -> Store:
    """A second statement, without the fourth designer."""
    attribute(small_study(data, data={"only": DESIGNERS[:3]}))
    return finished


def test_two_statements_make_a_page_and_the_second_says_what_changed(two: Store) -> None:
    since = manifest(two, "small")["since"]
    assert since["people"] == {"joined": [], "left": [LAST], "changed": [], "renamed": []}
    assert set(since["statuses"]["heldout_loss"]) == set(DESIGNERS)
    assert since["statuses"]["heldout_loss"][LAST] == "gone" and not since["not_comparable"]
    report = two.read(f"{latest(two, 'small')}/report.html").decode()
    assert "What changed since" in report and "1 left (Sofie Ascherl)" in report
    assert "stands on epoch 1" in report and "belong to nobody of today" in report
    assert "were in the ledger already" in report and "saved about" in report

    where = history("small")
    assert where == two.where("studies/small/history.html")
    page = two.read("studies/small/history.html").decode()
    assert page.count("<svg") == 2 and page.count('<td class="name">') == 2 * len(DESIGNERS)
    assert "1 left (Sofie Ascherl)" in page
    shown = artifacts("history-small")
    assert shown and "History of small" in str(shown[0].data)

    before = set(two.list("studies"))
    assert history("small") == where, "it may be made again"
    remove_unfinished("small", two)
    assert set(two.list("studies")) == before
    _, verdicts = survey(two, Rules(older_than_days=0, retired_epochs=True))
    assert [v.goes for v in verdicts if "studies/small/history.html" in v.item.keys] == [False]


def test_a_study_without_statements_is_an_error_that_names_those_that_have(finished: Store) -> None:
    with pytest.raises(ValueError, match=r"no statement of 'smal'.*statements of: small"):
        history("smal")
    assert not finished.exists("studies/smal/history.html")
