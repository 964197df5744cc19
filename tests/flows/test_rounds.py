"""Rounds in the real flow: the stop rule, what people see of it, and that nothing is paid for twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.attribute import attribute
from infra.store import Store
from tasks.study import Study
from tests.flows.reading import latest, ledger, made, manifest, table
from tests.flows.seen import artifacts, logged
from tests.small import DESIGNERS, small_study

AUDIT = 2
EASY, HARD = {"budget": 16, "stop_width": 1e9}, {"budget": 14, "stop_width": 1e-12, "batch": 1}
LOSS = {"names": ["heldout_loss"]}


def test_a_goal_reached_early_leaves_budget_unspent_and_the_statement_says_so(data: Path, store: Store) -> None:
    study = small_study(data, name="early", properties=LOSS, estimation=EASY)
    attribute(study)
    evaluations = table(store, "early", "evaluations.parquet")
    assert len(evaluations) == 12 + AUDIT  # three a contributor, of sixteen
    ending, page = manifest(store, "early")["ending"], store.read(f"{latest(store, 'early')}/report.html").decode()
    assert ending["reached"] and "12 of at most 16 evaluations" in ending["sentence"]
    assert "asked for in 1 round." in page and "12 of at most 16 evaluations" in page
    before = ledger(store), made(store)
    attribute(study)
    assert (ledger(store), made(store)) == before


def test_a_goal_out_of_reach_ends_with_the_budget_and_a_larger_one_later_goes_on(data: Path, store: Store) -> None:
    study = small_study(data, name="hard", properties=LOSS, estimation=HARD)
    state = attribute(study, return_state=True)
    evaluations = table(store, "hard", "evaluations.parquet")
    assert len(evaluations) == 14 + AUDIT and not evaluations["model_key"].duplicated().any()
    said = manifest(store, "hard")
    assert [r["draws"] for r in said["rounds"]] == [12, 13, 14] and said["evaluations"]["new"] == 14 + AUDIT
    assert said["ending"]["reached"] is False
    assert any("The budget of 14 evaluations is spent and the stop rule is not satisfied" in n for n in said["notes"])

    seen = artifacts("estimation-hard")  # a version a round
    assert [len(json.loads(str(a.data))) for a in seen] == [1, 2, 3]  # a row a round, as rounds go
    assert "heldout loss: widest 90 % interval" in json.loads(str(seen[-1].data))[0]
    assert seen[-1].description == said["ending"]["sentence"]
    last = "round 3: 14 evaluations asked for so far, 1 new in this round"
    text = logged(state, last)
    assert last in text and "is wanted" in text
    described = artifacts("evaluations-hard")[1].description
    assert described is not None and described.startswith("Round 2:") and "heldout_loss: the widest 90 %" in described

    before = ledger(store), made(store)
    attribute(study)
    assert (ledger(store), made(store)) == before
    attribute(small_study(data, name="hard", properties=LOSS, estimation={**HARD, "budget": 16}))
    again = table(store, "hard", "evaluations.parquet")
    assert len(again) == 16 + AUDIT and again["cached"].sum() == 14 + AUDIT
    assert before[0].items() <= ledger(store).items()


@pytest.fixture(scope="module")
def halves(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store in which a study asked for 12 of the 16 coalitions, and then the same under another seed of the draw."""
    store = Store(str(tmp_path_factory.mktemp("halves") / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDIT_STORE", store.url)
        for seed in (0, 1):
            estimation = {"budget": 12, "seed": seed}
            attribute(small_study(data, name="halves", properties=LOSS, estimation=estimation))
    return store


def test_what_another_run_left_in_the_ledger_enters_and_the_statement_counts_it(halves: Store) -> None:
    evaluations = table(halves, "halves", "evaluations.parquet")
    archive = evaluations[evaluations["role"] == "archive"]
    assert len(archive) and archive["cached"].all()
    said = manifest(halves, "halves")
    assert said["evaluations"]["reused"] == len(archive)
    page = halves.read(f"{latest(halves, 'halves')}/report.html").decode()
    assert f"{len(archive)} more evaluations of earlier runs" in page


def test_who_left_is_named_and_coalitions_with_them_are_no_coalitions_of_the_others(
    data: Path, halves: Store, store: Store
) -> None:
    reference = halves.where(f"reference/{manifest(halves, 'halves')['reference']['sha256']}")

    def frozen(**changes: Any) -> Study:
        """A given reference and a property without statistics: who takes part changes nothing but the coalitions."""
        return small_study(
            data,
            name="left",
            model={"pretrained": reference},
            pruning={"ratio": 0},
            properties={"names": ["colourfulness"]},
            **changes,
        )

    attribute(frozen(estimation={"budget": 14}))
    stay, gone = list(DESIGNERS[:3]), DESIGNERS[3]
    attribute(frozen(estimation={"budget": 6}, data={"only": stay}))
    assert list(table(store, "left", "credits.parquet")["contributor"]) == stay
    evaluations = table(store, "left", "evaluations.parquet")
    archive = evaluations[evaluations["role"] == "archive"]
    with_gone = archive[f"in:{gone} (left)"]
    assert with_gone.any() and [gone in m for m in archive["members"]] == list(with_gone)
    assert (archive["size"] == [len(m) for m in archive["members"]]).all()
    said = manifest(store, "left")
    assert list(said["former"].values()) == [gone]
    page = store.read(f"{latest(store, 'left')}/report.html").decode()
    assert f"contributors who have left ({gone})" in page


def test_optimal_picks_are_made_round_by_round_in_the_flow(data: Path, store: Store) -> None:
    study = small_study(
        data, name="picks", properties=LOSS, estimation={"budget": 15, "design": "a_optimal", "batch": 2}
    )
    attribute(study)
    evaluations = table(store, "picks", "evaluations.parquet")
    assert len(evaluations) == 15 + AUDIT and not evaluations["model_key"].duplicated().any()
    assert [r["draws"] for r in manifest(store, "picks")["rounds"]] == [12, 14, 15]
    before = ledger(store), made(store)
    attribute(study)
    assert (ledger(store), made(store)) == before
