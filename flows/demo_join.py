"""`make demo-join`: the demo's second act. Designers who came later join those who were there first, by OpenMoji's dates.

    act 1     the designers who had begun before `--until`      attribute, epoch 1
    act 2     the others join                                   reattribute, inside epoch 1
    check 1   all of them, with the whole budget                attribute, inside epoch 1
    check 2   all of them, as if nothing had been there         attribute, under another name, an epoch of its own

The second check costs as much as `make demo`, and nothing if that was run: it is the same study. Played again, all of it
only compares.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows.command import in_own_process, parser_of, run
from infra.study_file import load_preset
from tasks.study import Study

if TYPE_CHECKING:
    from infra.store import Store
    from tasks.statements.read import PastStatement

UNTIL = "2020-01-01"
DRIFT = 0.5  # of the images: a third is the joiners'


def main() -> int:
    """Both acts, and the comparison with a fresh start."""
    parser = parser_of("flows.demo_join", __doc__)
    parser.add_argument(
        "--until", default=UNTIL, help="who began before this day was there first; default: %(default)s"
    )
    arguments = parser.parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, arguments.set)
    first, later = cohorts(study, arguments.until)
    return _play(study, first, later) if arguments.inside else in_own_process("flows.demo_join")


def cohorts(study: Study, until: str) -> tuple[list[str], list[str]]:
    """Names of the study's contributors by when their first image was made: before `until` (ISO 8601), and later.

    Raises:
        ValueError: if the metadata has no dates, or all of them are in one of the two.
    """
    path, data = Path(study.data.url) / "metadata.csv", study.data
    with open(path, newline="", encoding="utf-8") as file:
        begun: dict[str, str] = {}
        for row in csv.DictReader(file):
            name, date = row[data.contributor_column], row.get(data.date_column) or ""
            if not date:
                raise ValueError(f"{path}: {row['file_name']} has no date, so nobody knows who was there first")
            if not data.only or name in data.only:
                begun[name] = min(date, begun.get(name, date))
    first = sorted(name for name, date in begun.items() if date < until)
    later = sorted(begun.keys() - set(first))
    if len(first) < 2 or not later:
        raise ValueError(f"{len(first)} began before {until} and {len(later)} later; choose another --until")
    return first, later


def _play(study: Study, first: list[str], later: list[str]) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.attribute import attribute  # imports Prefect, which reads its settings from the environment once
    from flows.reattribute import reattribute
    from infra.cancelled import run_cancellable
    from infra.settings import store_url
    from infra.store import Store
    from tasks.statements.read import all_statements, latest_statement

    store = Store(store_url())
    living = study.model_copy(
        update={"name": f"{study.name}-join", "epoch": study.epoch.model_copy(update={"drift": DRIFT})}
    )
    everybody = with_only(living, [*first, *later])
    alone = everybody.model_copy(update={"estimation": everybody.estimation.model_copy(update={"reuse": False})})
    acts: list[tuple[str, Callable[[], str]]] = [
        (f"Act 1: {_listed(first)} were there first", lambda: run_cancellable(attribute, with_only(living, first))),
        (f"Act 2: {_listed(later)} came later", lambda: run_cancellable(reattribute, everybody)),
        ("For comparison: the whole budget, inside the same epoch", lambda: run_cancellable(attribute, alone)),
    ]
    for act, play in acts[len(all_statements(store, living.name)) :]:  # what was played before stands
        print(f"\n{act}\n", flush=True)
        play()
    print("\nFor comparison: all of them from the beginning, in an epoch of their own\n", flush=True)
    run_cancellable(attribute, study)
    fresh = latest_statement(store, study.name)
    assert fresh is not None  # it was just published
    _compare(all_statements(store, living.name), fresh, later, store)
    return 0


def _compare(acts: list[PastStatement], fresh: PastStatement, later: list[str], store: Store) -> None:
    """Say what it cost and how far it agrees: with what the whole budget says in the same epoch, and with a fresh start."""
    from tasks.reattribute.against_fresh import compare_with_fresh, legend, table
    from tasks.reattribute.increment import asked_for

    before, again, whole = acts[:3]
    new = len(asked_for(again, store) - asked_for(before, store))
    within = compare_with_fresh(again, whole, new=new, asked=len(asked_for(whole, store)), joined=later)
    beyond = compare_with_fresh(again, fresh, new=new, asked=len(asked_for(fresh, store)), joined=later)
    epoch = compare_with_fresh(whole, fresh, new=new, asked=new, joined=later)
    lines = [
        f"{new} evaluations for {len(later)} who joined, instead of {beyond.fresh}: {beyond.part:.0%} of a fresh start.",
        "",
        f"Against the whole budget ({within.fresh} evaluations) in the same epoch: what the increment lacks",
        *table(within),
        "",
        "Against a fresh start, with a reference of its own: that, and what the epoch does",
        *table(beyond),
        "",
        "The whole budget in the old epoch against a fresh start: what the epoch does alone",
        *table(epoch),
        "",
        *legend(),
        "The old epoch's reference, pruned model, held-out images and reference statistics know nothing of who joined; a",
        "fresh start's do. Intervals are of one epoch, and do not cover the difference.",
        "",
        f"Statement:      {store.where(again.where)}/report.html",
        f"A fresh start:  {store.where(fresh.where)}/report.html",
    ]
    print("\n" + "\n".join(lines))


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def with_only(study: Study, names: list[str]) -> Study:
    """The study, of these contributors. As many evaluations as there are coalitions are enough."""
    budget = min(study.estimation.budget, 2 ** len(names))
    return study.model_copy(
        update={
            "data": study.data.model_copy(update={"only": sorted(names)}),
            "estimation": study.estimation.model_copy(update={"budget": budget}),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
