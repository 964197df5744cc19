"""report.html: the page for people who are paid by these numbers.

One file, no script, no address to fetch from; a content policy in its head forbids both, should a name ever slip
through escaping. The template beside this file lays out; this file decides what is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from tasks.publish import numbers, plots, rounds, sections, since, text
from tasks.publish.audit import audit_fields
from tasks.publish.numbers import Scale
from tasks.publish.tables import LEVEL, Separation, cautions, credit_scale, excess_scale, ranks, share_note, shares
from tasks.publish.types import PropertyResult, StatementData
from tasks.validate import faithfulness  # the module, since it imports this package's words in turn

MATRIX_LIMIT = 15  # contributors up to which the matrix of P(i > j) is shown
LONG_TABLE = 40  # contributors above which a table scrolls in its own frame


def _tied(sentence: str) -> str:
    """A percent sign stays on the line of its number."""
    return sentence.replace(" %", "\u00a0%")


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Row:
    """One contributor in the table of one property, written out."""

    rank: int
    rank_range: str
    name: Markup
    images: str
    pro_rata: str
    credit: str
    credit_interval: str
    excess: str
    excess_interval: str
    share: str
    tone: str  # above | below | open: where the excess interval lies


@dataclass(frozen=True)
class Cell:
    """One probability P(row > column) as text and as the strength of its colour."""

    value: str
    tone: str
    strength: float


@dataclass(frozen=True)
class PropertyView:
    """All that the report says about one property."""

    anchor: str
    title: str
    result: PropertyResult
    description: str  # a whole sentence
    measured: str  # in which unit, and which way: "Measured in bits; higher"
    plot: Markup
    plot_left_out: int
    credit_head: str
    excess_head: str
    rows: list[Row]
    long: bool
    has_shares: bool
    share_note: str
    pairs: int
    apart: int
    verdict: str
    faithful: list[str]  # nothing where no property was measured: the section on meaning says so once
    first: Markup
    matrix: list[tuple[int, Markup, list[Cell]]]
    signal: list[tuple[str, str, str, str]]  # what, how much, its unit, what it means


def environment() -> jinja2.Environment:
    """What every page is rendered with: everything escaped, and a name that is not there is an error."""
    return _ENVIRONMENT


def report_html(data: StatementData) -> bytes:
    """The report as UTF-8 HTML; the same data give the same bytes."""
    template = _ENVIRONMENT.get_template("report.html.j2")
    grid = plots.sample_grid(data.reference_samples)
    page = template.render(
        data=data,
        study=data.study,
        contributors=len(data.partition.contributors),
        properties=[property_view(data, result, number) for number, result in enumerate(data.results, 1)],
        cautions=[_tied(caution) for caution in cautions(data)],
        samples=plots.data_uri(grid, "image/png") if grid else None,
        pruning=sections.pruning(data),
        cost_bars=sections.cost_bars(data),
        evaluation_bars=sections.evaluation_bars(data),
        evaluation_counts=sections.evaluation_counts(data),
        story=[_tied(sentence) for sentence in rounds.story(data)],
        rounds=rounds.rounds_table(data.rounds, data.study.estimation.stop_level),
        **_since(data),
        **audit_fields(data),
        unmeasured=faithfulness.of_study(data.validation),
        epoch_told=[_tied(sentence) for sentence in since.epoch_sentences(data)],
        saved=since.savings(data),
        failed=sections.failed(data),
        problems=sections.problems(data),
        merged=sections.merged(data),
        dropped=sections.dropped(data),
        provenance=sections.provenance(data),
        settings=sections.settings(data),
        count=numbers.count,
        created=numbers.moment(data.created),
        plain=text.plain,
        attribution=text.words(data.attribution),
        colours={"above": plots.ABOVE, "below": plots.BELOW, "open": plots.OPEN},
        top=plots.TOP,
        bottom=plots.BOTTOM,
    )
    return page.encode("utf-8", "backslashreplace")


def _since(data: StatementData) -> dict[str, Any]:
    """What the report says about the last statement; nothing for a study's first."""
    if data.since is None:
        return {"since": None}
    return {
        "since": data.since,
        "since_day": since.day(data.since.created),
        "since_moment": numbers.moment(data.since.created),
        "since_people": data.since.people.sentence(),
        "since_notes": [_tied(note) for note in data.since.notes],
        "moves": since.moves_views(data.since),
    }


def _sentence(words: str) -> str:
    """Descriptions of properties come with and without a full stop; another sentence follows."""
    words = words.strip()
    return words if not words or words.endswith((".", "!", "?")) else f"{words}."


def _measured(result: PropertyResult) -> str:
    way = "higher" if result.sign > 0 else "lower"
    return f"Measured in {result.unit}; {way}" if result.unit.strip() else way.capitalize()


def property_view(data: StatementData, result: PropertyResult, number: int) -> PropertyView:
    """Write out one property; `number` counts from 1 and keeps ids in the page apart."""
    anchor = f"property-{number}"
    separation = Separation.of(result)
    order = np.argsort(-np.asarray(result.credits.values), kind="stable")
    rows, credit_head, excess_head = _rows(data, result, separation, order)
    return PropertyView(
        anchor=anchor,
        title=text.title(result.name),
        result=result,
        description=_sentence(result.description),
        measured=_measured(result),
        plot=Markup(plots.credits_plot(data, result, prefix=anchor)),
        plot_left_out=plots.shown(order)[1],
        credit_head=credit_head,
        excess_head=excess_head,
        rows=rows,
        long=len(rows) > LONG_TABLE,
        has_shares=bool(np.isfinite(shares(result)[0]).all()),
        share_note=_tied(share_note(result) or ""),
        pairs=separation.pairs,
        apart=separation.apart,
        verdict=_verdict(rows, separation),
        faithful=[_tied(sentence) for sentence in faithfulness.of_property(data.validation, result.name)],
        first=_first(data, separation, order),
        matrix=_matrix(data, separation, order),
        signal=_signal(result),
    )


def _rows(
    data: StatementData, result: PropertyResult, separation: Separation, order: np.ndarray
) -> tuple[list[Row], str, str]:
    credits = result.credits
    low, high = credits.interval(LEVEL)
    excess_low, excess_high = credits.excess_interval(LEVEL)
    of_credit, of_excess = credit_scale(result), excess_scale(result)
    share, rank = shares(result)[0], ranks(result)
    decimals = numbers.share_decimals(len(order))
    rows = []
    for i in order:
        contributor = data.partition.contributors[i]
        rows.append(
            Row(
                rank=int(rank[i]),
                rank_range=_range(int(separation.best[i]), int(separation.worst[i])),
                name=text.html(contributor.name),
                images=numbers.count(contributor.images),
                pro_rata=numbers.percent(contributor.pro_rata, decimals),
                credit=of_credit.write(credits.values[i]),
                credit_interval=_interval(of_credit, low[i], high[i]),
                excess=of_excess.write(credits.excess[i], sign=True),
                excess_interval=_interval(of_excess, excess_low[i], excess_high[i], sign=True),
                share=numbers.percent(float(share[i]), decimals),
                tone="above" if excess_low[i] > 0 else "below" if excess_high[i] < 0 else "open",
            )
        )
    return rows, of_credit.suffix, of_excess.suffix


def _range(best: int, worst: int) -> str:
    return str(best) if best == worst else f"{best}–{worst}"


def _interval(scale: Scale, low: float, high: float, *, sign: bool = False) -> str:
    if not np.isfinite(high - low):
        return "no interval"
    return f"{scale.write(low, sign=sign)} to {scale.write(high, sign=sign)}"


def _verdict(rows: list[Row], separation: Separation) -> str:
    above, below = (sum(row.tone == tone for row in rows) for tone in ("above", "below"))
    return (
        f"The whole interval lies above an equal share for {above} of {len(rows)} contributors and below it for "
        f"{below}; {separation.apart:,} of {separation.pairs:,} pairs can be told apart."
    )


def _first(data: StatementData, separation: Separation, order: np.ndarray) -> Markup:
    """Who may have the largest credit: one name, a few, or how many."""
    names = [text.html(data.partition.contributors[i].name, 24) for i in order if separation.best[i] == 1]
    if len(names) > 3:
        return Markup("may be that of any of {} contributors").format(len(names))
    return Markup("is that of ") + Markup(" or ").join(names)


def _matrix(data: StatementData, separation: Separation, order: np.ndarray) -> list[tuple[int, Markup, list[Cell]]]:
    if len(order) > MATRIX_LIMIT:
        return []
    lines = []
    for place, i in enumerate(order, 1):
        cells = []
        for j in order:
            p = float(separation.probability[i, j])
            shown = "" if i == j else ">99" if p > 0.995 else "<1" if p < 0.005 else f"{100 * p:.0f}"
            cells.append(Cell(shown, "above" if p > 0.5 else "below", round(abs(2 * p - 1) ** 2, 2)))
        lines.append((place, text.html(data.partition.contributors[i].name, 24), cells))
    return lines


def _signal(result: PropertyResult) -> list[tuple[str, str, str, str]]:
    """What was measured, how noisy it is, and what that means; values in the property's unit."""
    credits, unit = result.credits, text.plain(result.unit)
    empty, grand = numbers.alike(result.sign * credits.empty, result.sign * credits.grand, digits=4)
    spread, noise = numbers.alike(result.spread, result.seed_noise, digits=3)
    gap, gap_se = numbers.alike(credits.efficiency_gap, credits.efficiency_gap_se, digits=2)
    enough = "fewer than three a contributor: a low budget" if credits.low_budget else "three a contributor or more"
    rows = [
        ("Evaluations used", numbers.count(credits.n_evaluations), "", f"{enough}; estimator: {credits.estimator}"),
        ("Baseline, v(∅)", empty, unit, "raw value of the model of no contributor"),
        ("Everybody, v(N)", grand, unit, "raw value of the pruned model fine-tuned on everybody's images"),
        (
            "Spread between coalitions",
            spread,
            unit,
            "standard deviation over the coalitions evaluated: the signal",
        ),
    ]
    if result.seed_noise is None:
        rows.append(("Noise between seeds", "not measured", "", "no coalition was repeated under another seed"))
    else:
        ratio = result.seed_noise / result.spread if result.spread > 0 else float("inf")
        part = f"{numbers.percent(ratio, 0)} of the spread" if np.isfinite(ratio) else "the coalitions do not differ"
        rows.append(("Noise between seeds", noise, unit, f"{part}; from {result.audit_rows} repeated coalitions"))
    correlation = result.seed_correlation
    rows += [
        (
            "Correlation of seeds",
            "not measured" if correlation is None else numbers.alone(correlation, 2),
            "",
            "1 means that another seed would order the coalitions the same way; 0, not at all",
        ),
        (
            "Efficiency gap",
            f"{gap} ± {gap_se}",
            unit,
            "by how much the credits missed v(N) − v(∅), with its standard error, before it was spread evenly over all",
        ),
    ]
    return rows
