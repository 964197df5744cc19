"""The benchmark's tables, as Markdown: they are printed, and they are a section of docs/estimators.md."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.bench.estimators.archive import Record
from tests.bench.estimators.ratios import Cells, Condition, Joining, geometric, joinings
from tests.bench.estimators.settings import IID_ROWS

BEGIN, END = "<!-- bench-estimators: begin -->", "<!-- bench-estimators: end -->"
KINDS = {"iid": "", "small": " growing for small coalitions", "heavy": " Student t₃"}
SPREADS = {
    "kernel": "those whose sizes follow the Shapley kernel, as designs draw them",
    "uniform": "all of them alike",
}
DECIDED = ("default", "gp", "ridge_odd", "kernelshap_sizes")


def not_additive(game: str) -> bool:
    return game != "additive"


def additive(game: str) -> bool:
    return game == "additive"


def number(value: float | None) -> str:
    """Two digits that count; – for none, thousands as they are."""
    if value is None or not np.isfinite(value):
        return "–"
    if value >= 1e4:
        return f"{value:.0e}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def label(condition: Condition, *, kind: bool = False) -> str:
    _, noise, noise_kind, _, factor = condition
    return f"{noise:.0%}{KINDS[noise_kind] if kind else ''}, {factor}n"


def report(records: Sequence[Record], command: str) -> str:
    """All tables of what was measured, with date, command and machine."""
    cells, joins = Cells.of(records), joinings(records)
    noisy: dict[str, set[int]] = {}
    for record in records:
        noisy.setdefault(record["cell"]["spread"], set()).add(record["cell"]["n_players"])
    dates = sorted({record["at"] for record in records})
    measured = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else "".join(dates)
    parts = [
        f"Measured {measured} with `{command}`; {len(records):,} cells. Seconds are of one thread on a machine of "
        f"{os.cpu_count()} cores ({platform.machine()}), which may have had other work. Table made "
        f"{time.strftime('%Y-%m-%d')}.",
        "Noise is a share of the s.d. of v between coalitions: "
        + "; ".join(f"n = {', '.join(map(str, sorted(sizes)))}: {SPREADS[spread]}" for spread, sizes in noisy.items())
        + ".",
        "A *gain* is a yardstick's relative MSE of the excess credits over the method's, on as many evaluations; "
        "geometric mean over the games that are not additive. Gains of 1 are the yardstick itself, – is not measured. "
        "`kernelshap` is the paper's on the paper's iid draw; every other method of ours is on the default design, and "
        f"`{IID_ROWS}` on the paper's draw.",
        *summary(cells),
    ]
    for n in sorted({condition[0] for condition in cells.conditions()}, key=lambda n: (n == 12, n)):
        parts += of_size(cells, n)
    if (move := cells.largest_move()) is not None:
        parts.append(
            "v(∅) far off is 100 s.d. below its own value. It cannot move the excess credits of any method but "
            "`kernelshap` and shapiq's: where both cases were measured (n = 20, iid noise) the largest relative change "
            f"of an error is {move:.0e}. Elsewhere the far-off case stands for both."
        )
    if joins:
        parts += joining(joins)
    return "\n\n".join(parts) + "\n"


def summary(cells: Cells) -> list[str]:
    """The figures that matter most, for m = 5n and 10n and all kinds of noise together."""
    rows = []
    for method in (method for method in DECIDED if method in cells.methods()):
        for n in sorted({condition[0] for condition in cells.conditions()} - {12}):
            near = [c for c in cells.conditions() if c[0] == n and c[3] == "curve" and c[4] in (5, 10)]
            low, high = ([c for c in near if (c[1] <= 0.1) == is_low] for is_low in (True, False))
            noisy = [c for c in near if c[1] > 0]
            if near and cells.gains(near, method, "kernelshap", not_additive):
                sizes = cells.gains(near, method, "kernelshap_sizes", not_additive)
                iid_rows = cells.gains(near, method, IID_ROWS, not_additive)
                rows.append(
                    [
                        f"{method}, n = {n}",
                        *(
                            number(geometric(cells.gains(part, method, "kernelshap", not_additive)))
                            for part in (low, high)
                        ),
                        number(geometric(iid_rows)),
                        number(geometric(sizes)),
                        number(min(sizes) if sizes else None),
                        number(geometric(cells.gains(noisy, method, "kernelshap", additive))),
                        *(share(cells.average(near, method, f"coverage_{level}")) for level in ("90%", "95%")),
                    ]
                )
    head = [
        "m = 5n and 10n",
        "gain over kernelshap, noise ≤ 10 %",
        "30 %",
        "gain over kernelshap_sizes, iid rows",
        "on our design",
        "the least of these in any game",
        "additive game: gain over kernelshap",
        "90 % intervals cover %",
        "95 %",
    ]
    return ["### In short", markdown(head, rows)] if rows else []


def of_size(cells: Cells, n: int) -> list[str]:
    """Tables for one number of contributors."""
    here = [condition for condition in cells.conditions() if condition[0] == n]
    iid = [c for c in here if c[2] == "iid" and c[3] == "curve"]
    far = [c for c in here if c[2] == "iid" and c[3] == "far"]
    other = [c for c in here if c[2] != "iid" and c[3] == "curve" and c[1] > 0]
    least, most = cells.repetitions(here, cells.methods())
    games = sorted({game for condition in here for game in cells.games(condition)})
    parts = [f"### n = {n}", f"Games: {', '.join(games)}. Repetitions a cell: {least} to {most}."]
    for title, conditions, yardstick, chosen in (
        ("Gain over `kernelshap`, v(∅) on its curve, iid noise", iid, "kernelshap", not_additive),
        ("Gain over `kernelshap_sizes` on our design, iid noise", iid, "kernelshap_sizes", not_additive),
        (f"Gain over `{IID_ROWS}`, iid noise", iid, IID_ROWS, not_additive),
        ("Gain over `kernelshap`, other noise", other, "kernelshap", not_additive),
        ("Gain over `kernelshap_sizes`, other noise", other, "kernelshap_sizes", not_additive),
        ("Additive game: gain over `kernelshap`, iid noise", iid, "kernelshap", additive),
        ("Gain over `kernelshap`, v(∅) far off, iid noise", far, "kernelshap", not_additive),
    ):
        figure = gain_of(cells, yardstick, chosen)
        parts += table_of(cells, title, conditions, figure)
    for title, what, figures in (
        ("Spearman of the excess, iid noise, mean over all games", "spearman", np.mean),
        ("90 % intervals cover, %, iid noise", "coverage_90%", np.mean),
        ("95 % intervals cover, %, iid noise", "coverage_95%", np.mean),
        ("Width of 90 % intervals over the s.d. of the excess, median, iid noise", "width_90%", np.median),
        ("Width of 95 % intervals over the s.d. of the excess, median, iid noise", "width_95%", np.median),
        ("Seconds an estimate, median", "seconds", np.median),
    ):
        parts += table_of(cells, title, iid, average_of(cells, what, figures))
    parts += table_of(cells, "90 % intervals cover, %, other noise", other, average_of(cells, "coverage_90%", np.mean))
    parts += table_of(
        cells,
        "Repetitions in which the estimator refused (too few evaluations to identify the credits)",
        iid,
        lambda conditions, method: str(cells.failures(conditions, method)),
    )
    parts += by_game(cells, [c for c in iid if c[1] == 0.1 and c[4] == 5])
    return parts


Figure = Callable[[Sequence[Condition], str], str]


def gain_of(cells: Cells, yardstick: str, games: Callable[[str], bool]) -> Figure:
    return lambda conditions, method: number(geometric(cells.gains(conditions, method, yardstick, games)))


def average_of(cells: Cells, what: str, kind: Callable[[list[float]], float]) -> Figure:
    show = share if what.startswith("coverage") else number
    return lambda conditions, method: show(cells.average(conditions, method, what, kind))


def table_of(cells: Cells, title: str, conditions: Sequence[Condition], figure: Figure) -> list[str]:
    """One row a method, one column a condition; rows without a figure are left out, and tables without a row."""
    rows = [[method, *(figure([condition], method) for condition in conditions)] for method in cells.methods()]
    rows = [row for row in rows if set(row[1:]) - {"–", "0"}]
    if not rows:
        return []
    return [f"**{title}**", markdown(["", *(label(condition, kind=True) for condition in conditions)], rows)]


def by_game(cells: Cells, conditions: Sequence[Condition]) -> list[str]:
    """Relative MSE of each game, so that a mean hides none."""
    parts = []
    for condition in conditions:
        games = cells.games(condition)
        errors = {method: [cells.errors(condition, game, method) for game in games] for method in cells.methods()}
        rows = [
            [method, *("–" if not e else f"{np.mean(list(e.values())):.2g}" for e in each)]
            for method, each in errors.items()
            if any(each)
        ]
        parts += [f"**Relative MSE by game, {label(condition)}, v(∅) on its curve**", markdown(["", *games], rows)]
    return parts


def joining(joins: Sequence[Joining]) -> list[str]:
    """The join experiment."""
    rows = []
    for join in joins:
        never = f"> {max(join.curve)}"
        rows.append(
            [
                f"{join.game}, n = {join.n_players}, noise {join.noise:.0%}",
                str(join.repetitions),
                f"{join.fresh:.2g}",
                f"{join.paper:.2g}",
                f"{join.curve[min(join.curve)]:.2g} ({min(join.curve)})",
                never if join.needed is None else str(join.needed),
                str(join.fresh_evaluations),
                "–" if join.share is None else f"{join.share:.2f}",
            ]
        )
    reached = sum(join.share is not None and join.share <= 0.3 for join in joins)
    head = ["three join", "repetitions", "error of a fresh start (gp, 10n)", "of fresh kernelshap (10n)"]
    head += ["with the archive and the first new ones", "new evaluations needed", "of", "share"]
    return [
        "### Three join an archive of 10 (n − 3) evaluations",
        "New evaluations, picked in batches by `a_optimal`, until `gp` on archive and new ones together is as good as on "
        "a fresh start's 10n (relative MSE of the excess, medians over repetitions). "
        f"A share of at most 0.3 in {reached} of {len(joins)} games.",
        markdown(head, rows),
    ]


def write(path: Path, text: str) -> None:
    """Put the tables between the markers of an existing page, or make a page of them alone."""
    section = f"{BEGIN}\n{text}{END}"
    if path.exists() and BEGIN in (page := path.read_text(encoding="utf-8")):
        before, rest = page.split(BEGIN, 1)
        section = before + section + rest.split(END, 1)[1].rstrip("\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(section + "\n", encoding="utf-8")
