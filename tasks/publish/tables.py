"""The figures of a statement as tables: credits, who can be told apart, and the files that hold them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.publish import text
from tasks.publish.numbers import Scale, alike, percent, share_decimals
from tasks.publish.types import PropertyResult, StatementData

LEVEL = 0.9
APART = 0.95  # P(i > j) from which two contributors count as told apart: one side of a 90 % interval
UNSEEN_SHOWN = 10  # names in the caution about joiners
NEAR_EQUAL = 0.2  # shares whose distance from 1/n is below this part of 1/n say nothing about contributors


def credits_table(data: StatementData) -> pd.DataFrame:
    """One row a contributor, in the partition's order.

    Columns: contributor, images, pro_rata, and for each property `<property>_credit`, `_ci_low`, `_ci_high`,
    `_excess`, `_excess_low`, `_excess_high` (90 % intervals), `_share` (NaN where `share_notes` says why) and
    `_rank` (by credit, 1 = best; equal credits share the better rank).
    """
    contributors = data.partition.contributors
    columns: dict[str, object] = {
        "contributor": [text.storable(c.name) for c in contributors],
        "images": np.array([c.images for c in contributors], dtype=np.float64),
        "pro_rata": np.array([c.pro_rata for c in contributors], dtype=np.float64),
    }
    for result in data.results:
        credits = result.credits
        low, high = credits.interval(LEVEL)
        excess_low, excess_high = credits.excess_interval(LEVEL)
        columns |= {
            f"{result.name}_credit": np.asarray(credits.values, dtype=np.float64),
            f"{result.name}_ci_low": low,
            f"{result.name}_ci_high": high,
            f"{result.name}_excess": np.asarray(credits.excess, dtype=np.float64),
            f"{result.name}_excess_low": excess_low,
            f"{result.name}_excess_high": excess_high,
            f"{result.name}_share": shares(result)[0],
            f"{result.name}_rank": ranks(result),
        }
    return pd.DataFrame(columns)


def shares(result: PropertyResult) -> tuple[np.ndarray, str | None]:
    """Shares float64 [n], NaN where there are none, and the reason for that."""
    values, reason = result.credits.shares()
    if values is None:
        return np.full(len(result.credits.values), np.nan), reason or "no share can be formed from these credits"
    return np.asarray(values, dtype=np.float64), None


def ranks(result: PropertyResult) -> np.ndarray:
    """int64 [n]: 1 is the largest credit. Excess gives the same order, since it is credit less a constant."""
    values = np.asarray(result.credits.values, dtype=np.float64)
    rounding = float(np.abs(values).max(initial=0)) * 1e-12
    if rounding > 0:  # differences that are only rounding are ties
        values = np.round(values / rounding)
    return pd.Series(values).rank(ascending=False, method="min").to_numpy(dtype=np.int64)


def credit_scale(result: PropertyResult) -> Scale:
    """How this property's credits are written, wherever they are."""
    low, high = result.credits.interval(LEVEL)
    return Scale.of(result.credits.values, (high - low) / 2)


def excess_scale(result: PropertyResult) -> Scale:
    """How this property's excess credits are written, wherever they are."""
    low, high = result.credits.excess_interval(LEVEL)
    return Scale.of(result.credits.excess, (high - low) / 2)


def share_note(result: PropertyResult) -> str | None:
    """What must stand beside the column of shares: why it is empty, or why all shares are near 1/n."""
    values, reason = shares(result)
    if reason is not None:
        return f"There are no shares for {result.name}: {reason.rstrip('.')}. Credits and excess credits stand."
    n = len(values)
    if n < 2 or float(np.abs(values - 1 / n).max()) * n >= NEAR_EQUAL:
        return None
    equal, least, most = (percent(s, share_decimals(n)) for s in (1 / n, float(values.min()), float(values.max())))
    gain, spread = result.credits.grand - result.credits.empty, float(np.ptp(result.credits.values))
    gain_text, spread_text = alike(gain)[0], alike(spread)[0]
    return (
        f"All shares for {result.name} are near the equal share of {equal}: they lie between {least} and {most}. "
        f"The gain from no data to everybody's, v(N) − v(∅), is {gain_text} {result.unit}, "
        f"while the largest and the smallest credit differ by {spread_text}. Any contributor's data give most of that "
        "gain, so the share says little about who "
        "gave what; the excess credit does."
    )


def notes(data: StatementData) -> list[str]:
    """Every remark that must be read with the credits table: on shares, then on everything else."""
    return [note for result in data.results if (note := share_note(result))] + cautions(data)


def cautions(data: StatementData) -> list[str]:
    """What makes the credits themselves less sure than they look."""
    found, n = [], len(data.partition.contributors)
    seen = {r.name: bool(np.isfinite(r.credits.excess_interval(LEVEL)).all()) for r in data.results}
    blind = [r for r in data.results if not seen[r.name]]
    low = [r for r in data.results if r.credits.low_budget and seen[r.name]]
    if blind:
        found.append(
            f"No intervals for {_listed(blind)}: the evaluations ({_counts(blind)}) leave nothing to judge the error "
            "by. Do not pay on these credits."
        )
    if low:
        found.append(
            f"Low budget for {_listed(low)}: fewer than three evaluations ({_counts(low)}) for each of the {n} "
            "contributors. The intervals are wide, and may still be too narrow."
        )
    if data.epoch is not None and data.epoch.unseen:
        names = [text.plain(name) for name in data.epoch.unseen]
        listed = ", ".join(names[:UNSEEN_SHOWN]) + (
            f" and {len(names) - UNSEEN_SHOWN} more" if len(names) > UNSEEN_SHOWN else ""
        )
        found.append(
            f"{listed}: the models that all this rests on were made before most of their images came, so they are credited "
            "with too little, by more than the intervals say, until the next epoch."
        )
    if data.ending is not None and data.ending.reached is False:
        found.append(text.plain(data.ending.sentence, 2000))
    failed = int(failures(data.evaluations).sum())
    if failed:
        asked = int((data.evaluations["role"] != "archive").sum())
        found.append(f"{failed} of {asked} evaluations failed and entered no credit.")
    return found


def _listed(results: list[PropertyResult]) -> str:
    names = [result.name for result in results]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counts(results: list[PropertyResult]) -> str:
    return ", ".join(f"{number:,}" for number in dict.fromkeys(result.credits.n_evaluations for result in results))


def failures(evaluations: pd.DataFrame) -> pd.Series:
    """Bool, one an evaluation: whether the study asked for it and it failed. What the archive lacks was not asked for."""
    reason = evaluations["failure"]
    return (evaluations["role"] != "archive") & reason.notna() & (reason.astype("string").fillna("") != "")


@dataclass(frozen=True)
class Separation:
    """Who can be told apart: pairs, and for each contributor the ranks that the evaluations leave open."""

    pairs: int
    apart: int
    probability: np.ndarray  # float64 [n, n]: P(i > j), 0.5 on the diagonal
    best: np.ndarray  # int64 [n]: 1 + how many are surely above
    worst: np.ndarray  # int64 [n]: n - how many are surely below

    @classmethod
    def of(cls, result: PropertyResult) -> Separation:
        probability = np.array(result.credits.probability_greater(), dtype=np.float64)
        np.fill_diagonal(probability, 0.5)
        n = len(probability)
        above = probability >= APART
        return cls(
            pairs=n * (n - 1) // 2,
            apart=int(above.sum()),
            probability=probability,
            best=1 + above.sum(axis=0),
            worst=n - above.sum(axis=1),
        )


def parquet(frame: pd.DataFrame) -> bytes:
    """The frame as parquet; the same frame gives the same bytes under the same pyarrow."""
    frame = frame.rename(columns=lambda name: text.storable(str(name)))
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def evaluations_parquet(data: StatementData) -> bytes:
    """Every evaluation, failed ones too."""
    frame = data.evaluations.copy()
    if "members" in frame:
        frame["members"] = [[text.storable(str(name)) for name in members] for members in frame["members"]]
    if "failure" in frame:  # all None would become a column without a type
        frame["failure"] = frame["failure"].astype("string")
    return parquet(frame)


def credits_csv(data: StatementData) -> bytes:
    """The credits table for a spreadsheet: names that would be read as formulas begin with an apostrophe.

    Every text is quoted, for a spreadsheet that parts cells at another character than the comma would find a formula within
    a name ("Studio;=1+2").
    """
    frame = credits_table(data).rename(columns=text.csv_cell)
    frame["contributor"] = [text.csv_cell(name) for name in frame["contributor"]]
    return frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).encode()
