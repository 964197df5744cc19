"""The command: measure what the archive lacks, then print the tables of what it has.

python -m tests.bench.estimators                        everything, hours on one core; stop and start as you like
python -m tests.bench.estimators --players 20 --jobs 2  a shard of it
python -m tests.bench.estimators --report --table docs/estimators.md
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.shapley.designs import DESIGNS
from tasks.shapley.estimators import ESTIMATORS
from tests.bench.estimators import settings
from tests.bench.estimators.archive import Archive
from tests.bench.estimators.run import Digests, missing, run
from tests.bench.estimators.shapiq_link import connect
from tests.bench.estimators.tables import report, write

ARCHIVE = Path(".credit/bench/estimators.jsonl")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.estimators", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--players", type=int, nargs="+", default=settings.PLAYERS)
    parser.add_argument("--games", nargs="+", metavar="KIND", help="kinds of game (all)")
    parser.add_argument("--factors", type=int, nargs="+", default=settings.FACTORS, help="evaluations a contributor")
    parser.add_argument("--noises", type=float, nargs="+", default=settings.NOISES, help="s.d. as a share of sd(v)")
    parser.add_argument("--noise-kinds", nargs="+", default=settings.NOISE_KINDS, choices=settings.NOISE_KINDS)
    parser.add_argument("--spread", choices=settings.SPREADS, help="coalitions that sd(v) is taken of")
    parser.add_argument("--repeats", type=int, help="repetitions (20 for n <= 20, else 5)")
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="methods by their names in the tables")
    parser.add_argument("--experiments", nargs="+", default=["accuracy", "join"], choices=["accuracy", "join"])
    parser.add_argument("--join-noises", type=float, nargs="+", default=(0.1,))
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--minutes", type=float, help="start nothing after so many; the next run goes on")
    parser.add_argument("--shapiq-python", metavar="PATH", help="an interpreter (>= 3.12) that has shapiq >= 1.8")
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help=f"finished cells ({ARCHIVE})")
    parser.add_argument("--table", type=Path, help="also write the tables to this Markdown file")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Returns the number of crashes, at most 1, for the shell."""
    given = parse(arguments)
    version = shapiq_version(given.shapiq_python)
    digests, archive = Digests.now(version), Archive(given.archive)
    methods = settings.methods(version is not None, given.only)
    accuracy = settings.settings(
        given.players, given.factors, given.noises, given.noise_kinds, given.repeats, given.spread
    )
    chosen: list[settings.Setting | settings.JoinSetting] = []
    if "accuracy" in given.experiments:
        chosen += accuracy
    if "join" in given.experiments and not given.only:
        if "gp" in ESTIMATORS and "a_optimal" in DESIGNS:
            joins = settings.join_settings(
                [n for n in given.players if n == 20], given.join_noises, given.repeats, given.spread
            )
            chosen += joins
        else:
            print("the join experiment needs the estimator gp and the design a_optimal: left out")
    if given.games:
        chosen = [setting for setting in chosen if setting.game in given.games]
    crashes: list[str] = []
    if not given.report:
        jobs = list(missing(archive, sorted(chosen, key=settings.rank), methods, digests))
        cells = sum(len(job.names) for job in jobs)
        print(f"{cells} cells to measure, {len(archive.records(digests.all()))} in {given.archive} already", flush=True)
        crashes = run(
            jobs, archive, digests, processes=given.jobs, minutes=given.minutes, shapiq_python=given.shapiq_python
        )
    records = [
        record
        for record in archive.records(digests.all())
        if record["cell"]["spread"] == (given.spread or settings.usual_spread(record["cell"]["n_players"]))
    ]
    if not records:
        others = ", ".join(f"{digest} ({count})" for digest, count in archive.digests().items()) or "none"
        print(f"nothing measured with the sources as they are now; cells of other sources: {others}")
        return int(bool(crashes))
    text = report(records, f"python -m tests.bench.estimators {shlex.join(arguments)}".strip())
    print(f"\n{text}")
    if given.table is not None:
        write(given.table, text)
    for crash in crashes:
        print(f"CRASH {crash}")
    return int(bool(crashes))


def shapiq_version(python: str | None) -> str | None:
    """Version at the given interpreter; None, with a message, where there is none."""
    if python is None:
        print("without --shapiq-python PATH (an interpreter with shapiq >= 1.8), shapiq is not compared with")
        return None
    try:
        return connect(python).version
    except RuntimeError as error:
        print(f"shapiq is not compared with: {error}")
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
