"""`make demo-join`: the demo's second act. Designers who came later join those who were there first, by OpenMoji's dates.

    act 1    the designers who had begun before `--until`       attribute, epoch 1
    act 2    the others join                                    reattribute, inside epoch 1
    check    all of them, as if nothing had been there          attribute, under another name, an epoch of its own

The third costs as much as `make demo`, and nothing if that was run: it is the same study.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from flows.command import in_own_process, parser_of, run
from infra.study_file import load_preset
from tasks.study import Study

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
    from infra.settings import store_url
    from infra.store import Store
    from tasks.reattribute.against_fresh import compare_with_fresh, lines
    from tasks.statements.read import latest_statement

    store = Store(store_url())
    living = study.model_copy(
        update={"name": f"{study.name}-join", "epoch": study.epoch.model_copy(update={"drift": DRIFT})}
    )
    print(f"\nAct 1: {len(first)} designers who were there first: {', '.join(first)}\n", flush=True)
    attribute(with_only(living, first))
    print(f"\nAct 2: {len(later)} came later: {', '.join(later)}\n", flush=True)
    where = reattribute(with_only(living, [*first, *later]))
    print("\nFor comparison: all of them, from the beginning\n", flush=True)
    fresh = attribute(study)
    statements = latest_statement(store, living.name), latest_statement(store, study.name)
    assert statements[0] is not None and statements[1] is not None  # they were just published
    print("\n" + "\n".join(lines(compare_with_fresh(*statements, joined=later))))
    print(f"\nStatement:      {where}/report.html\nA fresh start:  {fresh}/report.html")
    return 0


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
