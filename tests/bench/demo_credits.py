"""`make bench-demo-credits`: how much better are a real study's credits at the same budget?

Takes a statement in whose study all 2^n coalitions were evaluated: the demo with `estimation.budget=256`, which `make` runs
first, and which evaluates only what the store lacks. Its exact credits, by the definition, are the truth. Then many designs
of a smaller budget are drawn, each estimator sees the rows of its design alone, and its excess credits are held against
the truth. Nothing is trained here.

Chance is part of that truth, for the table is of one seed, and so are its credits: a method that reproduces the chance
in the rows it was given looks better than it is, one that smooths it away looks worse. With --truth the same study's
complete table of *another* seed is the truth, which shares no chance with the rows; what is left of chance in that
truth, measured as half of how far the two tables' credits lie apart, is taken off the errors and allowed for in the
coverage. --no-noise withholds the replicates from estimators.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

from infra.settings import store_url
from infra.store import Store
from tasks.progress import Ticker
from tasks.shapley import MeasuredNoise, UnidentifiedError, estimate_credits, propose_coalitions
from tasks.shapley.estimators import ESTIMATORS
from tests.games import Coalitions, Floats, all_coalitions, row_numbers, table

BUDGETS = (24, 40, 66, 100)
# The paper's estimator on the paper's draw; the others on the default design, all of one repetition on the same rows.
METHODS = {name: "kernelshap" if name == "kernelshap" else "default" for name in (*ESTIMATORS, "default")}


@dataclass(frozen=True)
class Study:
    """A complete statement: values[name]: float64[2^n] in the order of `tests.games.all_coalitions`, raw (a sign changes
    none of the figures); images: float64[n] or None; noise: by property, as the study measured it."""

    contributors: tuple[str, ...]
    values: dict[str, Floats]
    images: Floats | None
    noise: dict[str, MeasuredNoise]


@dataclass(frozen=True)
class Figures:
    """Means over designs: relative squared error of the excess, Spearman, coverage of 90 % intervals (None: no interval
    in any), width of those over the s.d. of the true excess (median), and in how many designs there were credits."""

    error: float
    spearman: float
    coverage: float | None
    width: float | None
    answered: int


def complete_values(evaluations: pd.DataFrame, names: Sequence[str]) -> dict[str, Floats]:
    """The 2^n values of each property; replicates under other seeds (`audit`) are left out, earlier runs' are used.

    Raises ValueError, saying how many there are, unless every coalition was evaluated.
    """
    columns = [column for column in evaluations.columns if column.startswith("in:")]
    own = evaluations[evaluations["role"] != "audit"]
    places = row_numbers(own[columns].to_numpy(dtype=bool))
    found: dict[str, Floats] = {}
    for name in names:
        values = np.full(2 ** len(columns), np.nan)
        values[places] = own[name].to_numpy(dtype=np.float64)
        if missing := int(np.isnan(values).sum()):
            raise ValueError(
                f"{missing} of the {len(values)} coalitions have no {name}; run the study with "
                f"estimation.budget={len(values)}"
            )
        found[name] = values
    return found


def read(content: bytes, name: str, manifest: dict | None) -> Study:
    """A statement's evaluations, as .parquet or .csv, with what its manifest knows of images and noise."""
    evaluations = pd.read_csv(io.BytesIO(content)) if name.endswith(".csv") else pd.read_parquet(io.BytesIO(content))
    contributors = tuple(column[3:] for column in evaluations.columns if column.startswith("in:"))
    keys = [column.removeprefix("score_key_") for column in evaluations.columns if column.startswith("score_key_")]
    known = manifest or {}
    images = {entry["name"]: float(entry["images"]) for entry in known.get("contributors", [])}
    return Study(
        contributors=contributors,
        values=complete_values(evaluations, keys),
        images=np.array([images[name] for name in contributors]) if set(contributors) <= set(images) else None,
        noise={
            key: MeasuredNoise(found["sd"] ** 2, found["freedom"])
            for key, found in known.get("noise", {}).items()
            if found["sd"] is not None and found["freedom"] > 0
        },
    )


def compare(
    values: Floats,
    images: Floats | None,
    noise: MeasuredNoise | None,
    budget: int,
    designs: int,
    other: Floats | None = None,
) -> dict[str, Figures]:
    """Every method on the same number of evaluations of one property; `other`: another seed's values, to be the truth."""
    truth = table(values if other is None else other).excess
    chance = 0.0 if other is None else float(((table(values).excess - truth) ** 2).sum() / 2 / (truth**2).sum())
    n_players = len(truth)
    scores: dict[str, list[tuple[float, float, float | None, float | None]]] = {name: [] for name in METHODS}
    for seed in range(designs):
        rows = {
            design: propose_coalitions(n_players, budget, seed=seed, design=design) for design in {*METHODS.values()}
        }
        for name, design in METHODS.items():
            scores[name] += score(rows[design], values, images, noise, name, truth, chance * (truth**2).mean())
    means = {name: _mean(found) for name, found in scores.items()}
    return {name: replace(figures, error=figures.error - chance) for name, figures in means.items()}


def score(
    rows: Coalitions,
    values: Floats,
    images: Floats | None,
    noise: MeasuredNoise | None,
    estimator: str,
    truth: Floats,
    variance: float = 0.0,
) -> list[tuple[float, float, float | None, float | None]]:
    """[(error, spearman, coverage, width)]; nothing where the estimator says that the rows are too few.

    variance: of the truth itself, which intervals are widened by before they are asked to cover it.
    """
    try:
        credits = estimate_credits(rows, values[row_numbers(rows)], sizes=images, estimator=estimator, noise=noise)
    except UnidentifiedError:
        return []
    low, high = credits.excess_interval(0.9)
    known = bool(np.isfinite(low).all() and np.isfinite(high).all())
    half = np.sqrt((high - low) ** 2 / 4 + norm.ppf(0.95) ** 2 * variance)
    return [
        (
            float(((credits.excess - truth) ** 2).sum() / (truth**2).sum()),
            float(spearmanr(credits.excess, truth).statistic) if np.ptp(credits.excess) > 0 else 0.0,
            float((np.abs(truth - (low + high) / 2) <= half).mean()) if known else None,
            float((high - low).mean() / truth.std()) if known else None,
        )
    ]


def _mean(scores: list[tuple[float, float, float | None, float | None]]) -> Figures:
    if not scores:
        return Figures(np.nan, np.nan, None, None, 0)
    covered = [coverage for *_, coverage, _ in scores if coverage is not None]
    widths = [width for *_, width in scores if width is not None]
    return Figures(
        error=float(np.mean([error for error, *_ in scores])),
        spearman=float(np.mean([spearman for _, spearman, *_ in scores])),
        coverage=float(np.mean(covered)) if covered else None,
        width=float(np.median(widths)) if widths else None,
        answered=len(scores),
    )


def chance_in_truth(values: Floats, noise: MeasuredNoise) -> float:
    """Share of the true excess credits' squares that another seed's table would move them by, on average: what a method
    cannot be blamed for where it smooths that chance away, and gets for nothing where it reproduces it."""
    rows = all_coalitions(int(np.log2(len(values))))
    credits = estimate_credits(rows, values, noise=noise)
    return float(np.trace(credits.excess_covariance) / (credits.excess**2).sum())


def markdown(study: Study, found: dict[tuple[str, int], dict[str, Figures]], designs: int, apart: bool = False) -> str:
    """One row for each property, budget and method."""
    lines = [
        f"{len(study.contributors)} contributors, all {2 ** len(study.contributors)} coalitions known; means over "
        f"{designs} designs a budget. Error: squared error of the excess credits over their own squares"
        + (", against another seed's complete table, that table's chance taken off." if apart else "."),
        *(
            f"Chance in the truth of {name}, as replicates measured it: {chance_in_truth(study.values[name], noise):.2g}."
            for name, noise in study.noise.items()
            if name in study.values and not apart
        ),
        "",
        "| property | evaluations | estimator | error | times lower than kernelshap | than kernelshap_sizes | Spearman "
        "| 90 % intervals cover % | their width / s.d. | designs with an answer |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, budget), figures in found.items():
        for method, f in figures.items():
            ratios = [
                np.exp(_log_ratio(figures[yardstick].error, f.error))
                for yardstick in ("kernelshap", "kernelshap_sizes")
            ]
            cells = [name, str(budget), method, f"{f.error:.2g}", *(f"{ratio:.3g}" for ratio in ratios)]
            cells += [f"{f.spearman:.2f}", *("–" if x is None else x for x in (_percent(f.coverage), _short(f.width)))]
            lines.append("| " + " | ".join([*cells, f"{f.answered} of {designs}"]) + " |")
    lines += [
        "",
        "Geometric means over the properties:",
        "",
        "| evaluations | estimator | times lower than kernelshap |",
    ]
    lines[-1] += " than kernelshap_sizes |"
    lines.append("| ---: | --- | ---: | ---: |")
    for budget in sorted({budget for _, budget in found}):
        at_budget = [figures for (_, asked), figures in found.items() if asked == budget]
        for method in METHODS:
            means = [
                np.exp(np.nanmean([_log_ratio(f[yardstick].error, f[method].error) for f in at_budget]))
                for yardstick in ("kernelshap", "kernelshap_sizes")
            ]
            lines.append(f"| {budget} | {method} | " + " | ".join(f"{mean:.3g}" for mean in means) + " |")
    return "\n".join(lines).replace("nan", "–") + "\n"


def _log_ratio(one: float, other: float) -> float:
    """NaN where an error is not above the chance that was taken off: then it is too small to be measured."""
    return float(np.log(one / other)) if one > 0 and other > 0 else float("nan")


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.0f}"


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"


def find(given: Path | None, name: str) -> Study:
    """The statement at a path, or the newest of the study in the ordinary store."""
    if given is not None:
        manifest = given.parent / "manifest.json"
        known = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else None
        return read(given.read_bytes(), given.name, known)
    store = Store(store_url())
    folder = f"studies/{name}/{json.loads(store.read(f'studies/{name}/latest.json'))['run']}"
    manifest_found = json.loads(store.read(f"{folder}/manifest.json"))
    return read(store.read(f"{folder}/evaluations.parquet"), "evaluations.parquet", manifest_found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.demo_credits", description=__doc__)
    parser.add_argument("evaluations", type=Path, nargs="?", help="a statement's evaluations.parquet (or .csv)")
    parser.add_argument(
        "--study", default="openmoji-complete", help="whose newest statement in the store, without a path"
    )
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--designs", type=int, default=30)
    parser.add_argument("--no-noise", action="store_true", help="do not tell the estimators what the replicates showed")
    parser.add_argument("--truth", type=Path, help="evaluations of the same study, complete, under another seed")
    parser.add_argument("--table", type=Path, help="also write the tables to this Markdown file")
    given = parser.parse_args()
    study = find(given.evaluations, given.study)
    other = None if given.truth is None else find(given.truth, given.study)
    if other is not None and other.contributors != study.contributors:
        raise SystemExit(f"{given.truth} is of other contributors: {', '.join(other.contributors)}")
    ticker = Ticker(print, "designs drawn and estimated")
    found: dict[tuple[str, int], dict[str, Figures]] = {}
    total = len(study.values) * len(given.budgets)
    for name, values in study.values.items():
        for budget in given.budgets:
            noise = None if given.no_noise else study.noise.get(name)
            found[name, budget] = compare(
                values, study.images, noise, budget, given.designs, other=None if other is None else other.values[name]
            )
            ticker(len(found), total)
    text = markdown(study, found, given.designs, apart=other is not None)
    print(f"\n{text}")
    if given.table is not None:
        given.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
