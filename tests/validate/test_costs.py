"""What is said before a proof is begun: evaluations, what one takes, hours; and no figure where nothing was measured."""

from __future__ import annotations

from tasks.preview.types import Work
from tasks.validate.costs import Priced, in_lines


def way(name: str, asked: int, to_do: int, one: float | None) -> Priced:
    seconds = 0.0 if not to_do else None if one is None else to_do * one
    return Priced(name, asked, Work(to_do, to_do, to_do, {}, seconds), one)


def said(ways: list[Priced], cuts: int = 0, workers: int = 2) -> list[str]:
    lines: list[str] = []
    in_lines(ways, cuts, workers, lines.append)
    return lines


OWN, TRUTH = way("own", 76, 6, 5.0), way("retrained", 34, 4, 60.0)


def test_the_sum_is_of_what_the_ledger_lacks_and_is_shared_by_the_workers() -> None:
    lines = said([OWN, TRUTH, way("all there", 32, 0, 9.0)])
    assert lines[1] == "  own: 76, 70 of them in the ledger; about 5 s each"
    assert lines[3] == "  all there: 32, 32 of them in the ledger"
    assert "4 min 30 s of one worker, 2 min 15 s of 2" in lines[4]  # 6 of 5 s and 4 of a minute


def test_counterfactuals_are_priced_as_retrained_ones_at_most() -> None:
    assert (
        "at most 10, " in said([OWN, TRUTH], cuts=10)[-1] and "10 min 0 s of one worker" in said([OWN, TRUTH], 10)[-1]
    )
    assert not any("counterfactuals" in line for line in said([OWN, TRUTH]))


def test_what_was_never_measured_has_no_price_and_neither_has_the_sum() -> None:
    lines = said([OWN, way("retrained", 34, 4, None)], cuts=10)
    assert "never measured" in lines[2] and "never measured" in lines[3] and "never measured" in lines[4]
    assert "min" not in lines[3] + lines[4]


def test_one_worker_alone_is_said_once() -> None:
    assert said([OWN, TRUTH], workers=1)[3].count("worker") == 1
