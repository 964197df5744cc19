"""What the page of a validation says, before it is Markdown or HTML: sections of sentences, tables and pictures.

Names in it are as they came: who renders it escapes every sentence and every cell.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.publish import numbers, text
from tasks.publish.numbers import Scale
from tasks.validate import plots
from tasks.validate.blocks import Block, Cell, Part, Picture, Section, Table
from tasks.validate.faithfulness import (
    chance,
    coalitions,
    day,
    figure,
    ours,
    standing,
    why,
)
from tasks.validate.recommend import named, recommendation, relative_work
from tasks.validate.types import Estimate, PropertyFound, Validation
from tasks.validate.verdict import verdict

SHORTFALLS = 30  # shown; validation.json holds all
DIGITS = 12  # of a digest


def sections(found: Validation) -> list[Section]:
    """The page, in order."""
    return [
        Section("verdict", "Verdict", _each(found, verdict)),
        Section("fidelity", "Are coalitions realised faithfully?", [_intro(_FIDELITY), *_each(found, _fidelity)]),
        Section("credits", "Do credits predict retrained models?", [_intro(_CREDITS), *_each(found, _credits)]),
        Section("exact", "Against exact credits", _exact_parts(found)),
        Section("counterfactual", "Without the top, and with the top alone", _counterfactual_parts(found)),
        Section("done", "What was done", [Part("", _done(found))]),
    ]


_FIDELITY = (
    "A coalition's value, the study's way and other ways, against the unpruned network retrained from scratch on the same "
    "coalitions. Intervals are 95 %, over coalitions. Within one size is what counts: across sizes, any way that is better "
    "with more images looks faithful. Work: multiply-accumulates of one coalition's "
    "training, beside the study's own. Time: its median, on machines that may have done other things too."
)
_CREDITS = (
    "LDS is Spearman's correlation, over retrained coalitions of one size, of their members' added-up credits with their "
    "values: 1 if credits order them rightly, around 0 if credits know nothing. Intervals are 95 %, over coalitions and, "
    "for ours, the paper's estimator and the trees, over the evaluations that they rest on too. Free methods evaluate and "
    "train nothing."
)


def _intro(sentence: str) -> Part:
    return Part("", [sentence])


def _each(found: Validation, say: Callable[[Validation, PropertyFound, int], list[Block]]) -> list[Part]:
    return [Part(text.title(of.name), say(found, of, number)) for number, of in enumerate(found.properties, 1)]


def _picture(of: PropertyFound, number: int, what: str, svg: bytes, caption: str) -> Picture:
    slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in of.name.lower()).strip("-")[:40]
    return Picture(f"{number}-{slug or 'property'}-{what}.svg", svg, caption)


def prefix(number: int, what: str) -> str:
    """What stands before the ids in a picture."""
    return f"property-{number}-{what}"


def _cell(estimate: Estimate, *, sign: bool = False) -> Cell:
    written = figure(estimate, sign=sign)
    if estimate.value is None:
        return Cell(written, why(estimate))
    value, _, interval = written.partition(" ")
    return Cell(value, interval.strip("()"))


def _fidelity(found: Validation, of: PropertyFound, number: int) -> list[Block]:
    rows: list[tuple[Cell, ...]] = []
    own = set()
    for way in sorted(of.ways, key=lambda w: (not w.study, w.mode, w.ratio, w.steps)):
        if way.study:
            own.add(len(rows))
        rows.append(
            (
                Cell(named(way).partition(",")[0] + (", the study's" if way.study else "")),
                Cell(f"{way.steps:,}"),
                Cell(f"{way.ratio:g}"),
                Cell("unknown" if (times := relative_work(way, of)) is None else f"{numbers.alone(times, 2)} ×"),
                Cell("not trained" if way.seconds is None else numbers.duration(way.seconds)),
                *(_cell(e) for e in (way.pearson, way.spearman, way.pearson_across, way.spearman_across)),
            )
        )
    fidelities = ("Pearson", "Spearman", "Pearson across sizes", "Spearman across sizes")
    heads = ("Way", "Steps", "Ratio", "Work", "Time", *fidelities)
    spread, noise = numbers.alike(of.spread, of.noise)
    unit = f" {text.plain(of.unit)}" if of.unit.strip() else ""
    noisy = "was not measured" if of.noise is None else f"is {noise}{unit}"
    blocks: list[Block] = [
        f"Between retrained coalitions of one size v spreads by {spread}{unit} (standard deviation); the noise of one "
        f"evaluation of the study, between seeds, {noisy}."
    ]
    if of.own_way.points:
        blocks.append(
            _picture(
                of,
                number,
                "values",
                plots.scatter(found, of, prefix=prefix(number, "values")),
                f"One dot a coalition: blue, those of {found.one_size} contributors, with their line of best fit; grey "
                "diamonds, those of other sizes. Where it is in sight, the grey line is where the two would be equal.",
            )
        )
    blocks += [
        _picture(
            of,
            number,
            "fidelity",
            plots.fidelity(of, prefix=prefix(number, "fidelity")),
            "Pearson with retrained models within one size, with 95 % intervals. Blue: the study's own way."
            + (
                " Dashed: what an estimate without error can expect that shares no random numbers with retrained models; "
                "the dots share some."
                if _ceiling(of) is not None
                else ""
            ),
        ),
        Table(heads, rows, own=frozenset(own)),
        *_repeated(of, unit),
        recommendation(of),
    ]
    return blocks


def _ceiling(of: PropertyFound) -> Estimate | None:
    return None if of.repeat is None else of.repeat.ceiling


def _repeated(of: PropertyFound, unit: str) -> list[Block]:
    """What another seed of retraining does to all of these figures."""
    again = of.repeat
    if again is None:
        return [
            "No coalition was retrained under a second seed, so how far chance moves what is retrained is not known."
        ]
    of_these, ceiling = coalitions(again.pearson.count), again.ceiling
    if again.pearson.value is None:
        return [f"{of_these} were retrained under a second seed; what that tells is not known: {why(again.pearson)}."]
    noise, _ = numbers.alike(again.noise or 0.0, of.spread)
    told = (
        f"Retrained once more under another seed, {of_these} agree with themselves by Pearson {figure(again.pearson)} and "
        f"Spearman {figure(again.spearman)}; the noise of one retrained value is {noise}{unit}."
    )
    if ceiling is not None:
        told += (
            " So an estimate that has no error of its own, and shares no random numbers with them, can expect a Pearson of "
            f"{figure(ceiling)}."
        )
    return [
        told,
        f"With the values of that other seed the study's own way agrees by Pearson {figure(again.own)}, and its credits "
        f"have an LDS of {figure(again.lds)}. With those of the first seed, whose random numbers it shares, it agrees by "
        f"{figure(again.shared, sign=True)} more on the same coalitions.",
    ]


def _credits(found: Validation, of: PropertyFound, number: int) -> list[Block]:
    said = {"ours": "ahead", "as good": "as good as ours", "better": "better than ours", "not compared": "not compared"}
    order = sorted(of.methods, key=lambda m: (m.lds.value is None, -(m.lds.value or 0.0)))
    rows = [
        (
            Cell(method.name),
            Cell("" if method.kind == "ours" else _kind(method.kind)),
            _cell(method.lds),
            Cell({True: "yes", False: "not shown", None: numbers.MISSING}[method.better_than_chance]),
            Cell("") if method.ahead is None else _cell(method.ahead, sign=True),
            Cell(_probability(method.probability_ours) if method.kind != "ours" else ""),
            Cell("" if method.kind == "ours" else said[standing(method)].replace("ahead", "ours is ahead")),
        )
        for method in order
    ]
    heads = (
        "Method",
        "Kind",
        "LDS",
        "Better than chance",
        "Ours less this",
        "P(ours is higher)",
        "Verdict",
    )
    own = frozenset(place for place, method in enumerate(order) if method.kind == "ours")
    level = (
        f"Random credits: {chance(of)} (95 %)."
        if of.chance_sd is not None
        else "What random credits reach is not known."
    )
    picture = _picture(
        of,
        number,
        "lds",
        plots.scores(of, prefix=prefix(number, "lds")),
        "LDS with 95 % intervals. Grey band: where 95 % of random credits lie. Blue: ours; purple: the paper's estimator; "
        "grey: free; ochre: what trains.",
    )
    return [level, picture, Table(heads, rows, words=frozenset({0, 1, 6}), own=own)]


def _kind(kind: str) -> str:
    return plots.KINDS[kind]


def _probability(share: float | None) -> str:
    if share is None:
        return numbers.MISSING
    return "> 99 %" if share > 0.995 else "< 1 %" if share < 0.005 else numbers.percent(share, 0)


def _exact_parts(found: Validation) -> list[Part]:
    if all(of.exact is None for of in found.properties):
        n = len(found.contributors)
        many = f"2^{n}" if n > 20 else f"{2**n:,}"
        return [
            Part(
                "", [f"Not made: exact credits need every coalition of the {n} contributors retrained, {many} of them."]
            )
        ]
    intro = (
        "Exact credits are from every coalition retrained from scratch, unpruned. Error is the mean absolute error of "
        "excess credits over their standard deviation; covered, the share of contributors whose 90 % interval holds the "
        "exact one."
    )
    return [_intro(intro), *_each(found, _exact)]


def _exact(found: Validation, of: PropertyFound, number: int) -> list[Block]:
    if of.exact is None:
        return ["Not made for this property: a coalition has no value."]
    mine = ours(of)
    own = frozenset(place for place, row in enumerate(of.exact) if mine is not None and row.method == mine.name)
    rows = [
        (
            Cell(row.method),
            _cell(row.pearson),
            _cell(row.spearman),
            Cell(numbers.alone(row.error, 2)),
            Cell(numbers.MISSING if row.covered is None else numbers.percent(row.covered, 0)),
        )
        for row in of.exact
    ]
    blocks: list[Block] = [Table(("Method", "Pearson", "Spearman", "Error", "Covered"), rows, own=own)]
    if of.exact_credits is not None and mine is not None:
        exact, credits = np.array(of.exact_credits), np.array(mine.credits)
        excess, estimated = exact - exact.mean(), credits - credits.mean()
        scale = Scale.of([*excess, *estimated], [float(np.abs(excess).max()) / 10])
        unit = " ".join(filter(None, (scale.suffix, of.unit)))
        order = np.argsort(-excess, kind="stable")
        people = [
            (Cell(found.contributors[i]), *(Cell(scale.write(v[i], sign=True)) for v in (excess, estimated)))
            for i in order
        ]
        beside = f" ({unit})" if unit else ""
        blocks.append(Table(("Contributor", f"Exact excess{beside}", f"Ours{beside}"), people))
    return blocks


def _counterfactual_parts(found: Validation) -> list[Part]:
    if not any(method.removed or method.kept for of in found.properties for method in of.methods):
        return [Part("", ["Not made: nothing was retrained without the top of any method, or with it alone."])]
    intro = (
        "Change of v, retrained, against everybody's, when the top of a method is removed, or kept alone; more is always "
        "better for the model. The further a removal takes v down, and the less is lost by keeping the top alone, the "
        "better the method found who matters. Each coalition was retrained once, so there are no intervals, and small "
        "differences say nothing."
    )
    return [_intro(intro), *_each(found, _counterfactual)]


def _counterfactual(found: Validation, of: PropertyFound, number: int) -> list[Block]:
    panels, methods = plots.cuts(of), plots.cut_by(of)
    if not panels:
        return ["Not made for this property."]
    heads = tuple(f"Top {share} {what}{' alone' if what == 'kept' else ''}" for what, share, _ in panels)
    written = [[_change(value) for value in column] for _, _, column in panels]
    rows = [(Cell(method.name), *(Cell(column[place]) for column in written)) for place, method in enumerate(methods)]
    own = frozenset(place for place, method in enumerate(methods) if method.kind == "ours")
    svg = plots.changes(of, prefix=prefix(number, "changes"))
    kinds = "Blue: ours; purple: the paper's; grey: free; ochre: what trains."
    caption = f"Change of v against everybody's. {kinds} –: not retrained."
    blocks: list[Block] = [] if svg is None else [_picture(of, number, "changes", svg, caption)]
    return [*blocks, Table(("Method", *heads), rows, own=own)]


def _change(value: float | None) -> str:
    if value is None:
        return "not retrained"
    written = numbers.percent(value, 1)
    return f"+{written}" if value > 0 else written


def _done(found: Validation) -> list[Block]:
    many = found.coalitions_of_one_size
    rows = [
        (
            "Retrained unpruned",
            f"{coalitions(many)} of {found.one_size} contributors, {found.coalitions_across:,} across sizes",
        ),
        ("Steps of retraining", f"{found.retrain_steps:,}"),
        ("Evaluations that the credits rest on", f"{found.evaluations:,}"),
        ("Evaluations made for it", f"{found.trained:,}"),
        ("Evaluations found in the ledger", f"{found.found:,}"),
        ("Time", numbers.duration(found.seconds)),
        ("Device", text.plain(found.device, 200)),
        ("Contributors", f"{len(found.contributors):,}"),
        ("Epoch", str(found.epoch)),
        ("Recipe", f"{found.recipe[:DIGITS]}…"),
        ("Run", f"{text.plain(found.run)}, {day(found)}"),
    ]
    blocks: list[Block] = [
        Table(("What", "Value"), [(Cell(what), Cell(said)) for what, said in rows], frozenset({0, 1}))
    ]
    if not found.shortfalls:
        return [*blocks, "All that was asked for was made."]
    blocks.append("What was asked for and does not exist:")
    blocks += [f"– {text.plain(each, 400)}" for each in found.shortfalls[:SHORTFALLS]]
    if (left := len(found.shortfalls) - SHORTFALLS) > 0:
        blocks.append(f"{left} more are in validation.json.")
    return blocks
