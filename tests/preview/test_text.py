"""A preview in words: hostile names do no harm, and what is not known is said to be so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.preview.text import SHOWN_CONTRIBUTORS, answers, page, problems_table
from tasks.preview.types import IN_STORE, Audit, Measured, Preview, Step, Storage, Work
from tests.publish.building import HOSTILE

NOTHING = Work(0, 0, 0, {}, 0.0)
SOME = Work(10, 9, 10, {"heldout_loss": 10}, 300.0, weights_bytes=5_000_000, samples_bytes=20_000)
MANY = Work(40, 36, 40, {"heldout_loss": 40}, 1200.0, weights_bytes=20_000_000, samples_bytes=80_000)


def preview() -> Preview:
    return Preview(
        study="small",
        store="s3://bucket/prefix",
        contributors=({"name": "Emily Jäger", "images": 10.0, "heldout": 2.0, "pro_rata": 1.0},),
        training_images=10,
        heldout_images=2,
        problems=(),
        epoch="epoch 1 goes on: the images are those of epoch 1",
        reference=Step(IN_STORE),
        pruned=Step(IN_STORE),
        statistics_missing=(),
        asked_least=12,
        asked=42,
        cached=2,
        reused=0,
        ignored={},
        least=SOME,
        most=MANY,
        ended=None,
        rates={"fine_tune": Measured(30.0, 8, "by this recipe, cuda")},
        storage=Storage(0, None, 500_000, True, 2000),
        workers=4,
        running=None,
    )


def crowd(names: Sequence[str]) -> tuple[dict[str, str | float], ...]:
    return tuple({"name": name, "images": 1.0, "heldout": 0.0, "pro_rata": 0.1} for name in names)


def test_the_hours_of_one_worker_and_of_all_are_told_apart() -> None:
    said = dict(answers(preview()))
    assert said["one worker"] == "at least 5 min 00 s, at most 20 min 00 s"
    assert said["4 workers, as on this machine"] == "at least 1 min 15 s, at most 5 min 00 s"
    assert said["one fine-tuning"] == "30.0 s (median of 8, by this recipe, cuda)"
    assert "at least 5 MB, at most 20 MB of coalitions' weights" in said["added to the store"]


def test_what_other_models_took_is_called_rough_and_so_is_the_sum() -> None:
    said = dict(
        answers(replace(preview(), rates={"fine_tune": Measured(30.0, 8, "a step of other models, cuda", rough=True)}))
    )
    assert said["one fine-tuning"] == "roughly 30.0 s (median of 8, a step of other models, cuda)"
    assert said["one worker"].startswith("roughly at least 5 min")


def test_what_was_never_measured_is_called_that_and_gets_no_number() -> None:
    unknown = replace(SOME, seconds=None, not_measured=("fine_tune",), weights_bytes=None)
    p = replace(preview(), least=unknown, most=unknown, rates={"fine_tune": None}, pruned=Step("is made, ratio 0"))
    said = dict(answers(p))
    assert said["one fine-tuning"] == "not measured yet"
    assert said["one worker"] == said["4 workers, as on this machine"] == "not measured yet (one fine-tuning)"
    assert said["pruned model"] == "is made, ratio 0; not measured yet"
    assert "known when there is a pruned model" in said["added to the store"]


def test_a_study_that_has_all_it_needs_says_why_nothing_is_to_do() -> None:
    said = dict(answers(replace(preview(), least=NOTHING, most=NOTHING, ended="The stop rule is satisfied.")))
    assert said["to do"] == "nothing. The stop rule is satisfied." and "one worker" not in said


def test_what_an_audit_adds_is_one_line_and_without_one_there_is_none() -> None:
    said = dict(answers(replace(preview(), audit=Audit(2, 6, 24, 1000))))
    assert (
        "2 contributors with 6 pairs each adds at most 24 trainings from random weights of 1,000 steps" in said["audit"]
    )
    assert "audit" not in dict(answers(preview()))


def test_nothing_can_be_cached_before_there_is_a_model() -> None:
    said = dict(answers(replace(preview(), cached=0, pruned=Step("is made, ratio 0"))))
    assert said["in the ledger"].startswith("none: there is no reference or pruned model yet")


def test_hostile_names_neither_end_a_cell_nor_become_markup() -> None:
    people = crowd(HOSTILE)
    problems = tuple({"kind": "unreadable", "subject": n, "reason": repr(n), "action": "left out"} for n in HOSTILE)
    p = replace(preview(), contributors=people, problems=problems, study="small")
    text = page(p)
    assert "<script" not in text and "](http" not in text and "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") in (3, 5) for line in rows)
    table = problems_table(p)
    assert len(table) == len(HOSTILE) and all(len(row["where"]) <= 200 and len(row["what"]) <= 500 for row in table)


def test_a_page_stays_small_however_many_there_are() -> None:
    people = crowd([f"{i} {'x' * 500}" for i in range(10_000)])
    text = page(replace(preview(), contributors=people))
    assert len(text) < 200_000 and f"and {10_000 - SHOWN_CONTRIBUTORS} more" in text
