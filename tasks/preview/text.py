"""A preview in words: the same lines for the log and for the page in the Prefect UI. Names are hostile input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.preview.types import Audit, Measured, Preview, Step, Work
from tasks.publish import numbers, text

NOT_MEASURED = "not measured yet"
SHOWN_PROBLEMS = 1000  # rows of the table artifact, which Prefect keeps in its database
SHOWN_CONTRIBUTORS = 300


def answers(preview: Preview) -> list[tuple[str, str]]:
    """What is asked before a study is started -> the answer, one line each."""
    least, most, p = preview.least, preview.most, preview
    lines = [
        (
            "images",
            f"{numbers.count(p.training_images)} for training, of {len(p.contributors)} contributors; "
            f"{numbers.count(p.heldout_images)} held out",
        ),
        ("problems", _problems(p)),
        ("epoch", p.epoch),
        ("reference model", _step(p.reference)),
        ("pruned model", _step(p.pruned)),
        (
            "reference statistics",
            f"are computed for {', '.join(text.plain(name) for name in p.statistics_missing)}"
            if p.statistics_missing
            else "are in the store, or not needed",
        ),
        ("evaluations", _evaluations(p)),
        ("in the ledger", _ledger(p)),
        ("to do", _to_do(p)),
    ]
    if most.evaluations:
        for part, rate in p.rates.items():
            lines.append((_PARTS.get(part) or f"one score of {text.title(part.removeprefix('score/'))}", _rate(rate)))
        rough = (
            "roughly " if most.seconds is not None and any(r is not None and r.rough for r in p.rates.values()) else ""
        )
        lines += [
            ("one worker", rough + _between(least, most, _seconds)),
            (_workers(p), rough + _between(least, most, _shared(p))),
        ]
    lines.append(("added to the store", _storage(p)))
    if p.audit is not None:
        lines.append(("audit", _audit(p.audit)))
    if p.running is not None:
        lines.append(("just now", f"the study is being run by {text.plain(p.running, 200)}"))
    return lines


def _audit(audit: Audit) -> str:
    return (
        f"checking {audit.contributors} {'contributor' if audit.contributors == 1 else 'contributors'} with {audit.pairs} "
        f"pairs each adds at most {audit.trainings:,} trainings from random weights of {audit.steps:,} steps, and of the "
        "same coalitions fine-tuned those that the ledger lacks; none of it is in the figures above"
    )


def page(preview: Preview) -> str:
    """The page in the Prefect UI, Markdown."""
    safe = [f"| {text.markdown(what, 80)} | {text.markdown(answer, 4000)} |" for what, answer in answers(preview)]
    decimals = numbers.share_decimals(len(preview.contributors))
    rows = [
        f"| {text.markdown(str(c['name']))} | {numbers.count(float(c['images']))} | "
        f"{numbers.percent(float(c['pro_rata']), decimals)} | {numbers.count(float(c['heldout']))} |"
        for c in preview.contributors[:SHOWN_CONTRIBUTORS]
    ]
    left = len(preview.contributors) - len(rows)
    return "\n".join(
        [
            f"# What `attribute` would do with {text.markdown(preview.study)}",
            "Nothing was trained and nothing was stored to find this out. Times are medians of what was measured before, on "
            "the device named; starting workers and Prefect's own work come on top.",
            "",
            "| | |",
            "|:---|:---|",
            *safe,
            "",
            "## Contributors",
            "",
            "| contributor | training images | share of data | held out |",
            "|:---|---:|---:|---:|",
            *rows,
            *([f"| and {left} more | | | |"] if left > 0 else []),
            "",
        ]
    )


def problems_table(preview: Preview) -> list[dict[str, Any]]:
    """Rows for `create_table_artifact`: every remark on the data, as a statement would list it."""
    return [
        {
            "problem": p["kind"],
            "where": text.plain(p["subject"], 200),
            "what": text.plain(p["reason"], 500),
            "so it is": p["action"],
        }
        for p in preview.problems[:SHOWN_PROBLEMS]
    ]


_PARTS = {"fine_tune": "one fine-tuning", "sample": "one drawing of images"}


def _problems(p: Preview) -> str:
    if not p.problems:
        return "none"
    kinds = dict.fromkeys(problem["kind"] for problem in p.problems)
    return f"{len(p.problems)}: " + ", ".join(
        f"{sum(problem['kind'] == kind for problem in p.problems)} {kind}" for kind in kinds
    )


def _step(step: Step) -> str:
    if step.is_there or step.state.startswith("is brought in"):
        return step.state
    return f"{step.state}; {_rate(step.seconds)}"


def _rate(rate: Measured | None) -> str:
    if rate is None:
        return NOT_MEASURED
    of = f"median of {rate.count}, " if rate.count > 1 else ""
    return f"{'roughly ' if rate.rough else ''}{numbers.duration(rate.seconds)} ({of}{rate.source})"


def _evaluations(p: Preview) -> str:
    few, many = f"{p.asked_least:,}", f"{p.asked:,}"
    asked = few if few == many else f"at least {few}, at most {many}"
    return f"{asked} are asked for, the audit's repeats among them"


def _ledger(p: Preview) -> str:
    if not p.cached and not (p.reference.is_there and p.pruned.is_there):
        return "none: there is no reference or pruned model yet, on which all evaluations rest"
    said = f"{p.cached:,} of them"
    if p.reused:
        said += f"; {p.reused:,} more of earlier runs are used as well"
    return said + "".join(f"; {count:,} are not used: {why}" for why, count in p.ignored.items())


def _to_do(p: Preview) -> str:
    if p.ended is not None:
        return f"nothing. {p.ended}"
    return _between(p.least, p.most, lambda work: f"{work.evaluations:,}") + _of_which(p.least, p.most)


def _of_which(least: Work, most: Work) -> str:
    if most.trainings == most.evaluations:
        return ""
    return f"; {_between(least, most, lambda work: f'{work.trainings:,}')} of them with training"


def _between(least: Work, most: Work, say: Callable[[Work], str]) -> str:
    low, high = say(least), say(most)
    return low if low == high else f"at least {low}, at most {high}"


def _seconds(work: Work) -> str:
    if work.seconds is None:
        parts = ", ".join(_PARTS.get(part, part.removeprefix("score/")) for part in work.not_measured)
        return f"{NOT_MEASURED} ({parts})"
    return numbers.duration(work.seconds)


def _shared(p: Preview) -> Callable[[Work], str]:
    def say(work: Work) -> str:
        if work.seconds is None or not work.evaluations:
            return _seconds(work)
        busy = min(p.workers, work.evaluations)
        return numbers.duration(work.seconds / busy)

    return say


def _workers(p: Preview) -> str:
    return f"{p.workers} worker{'s' if p.workers > 1 else ''}, as {p.where}"


def _storage(p: Preview) -> str:
    least, most, s = p.least, p.most, p.storage
    parts = []
    if s.images:
        parts.append(f"{numbers.size(s.images)} of prepared images")
    if s.base:
        parts.append(f"{numbers.size(s.base)} of the autoencoder or pipeline that models stand on")
    if s.latents:
        parts.append(f"{numbers.size(s.latents)} of encoded images")
    if s.models:
        parts.append(f"at most {numbers.size(s.models)} of reference and pruned model")
    if most.weights_bytes is None:
        parts.append(
            "of coalitions' weights what is below execution.keep_weights_below_mb, known when there is a pruned model"
        )
    elif most.weights_bytes:
        weights = _between(least, most, lambda w: numbers.size(w.weights_bytes))
        parts.append(
            f"{weights if s.weights_exact else f'at most {numbers.size(most.weights_bytes)}'} of coalitions' weights"
        )
    if most.samples_bytes:
        parts.append(f"{_between(least, most, lambda w: numbers.size(w.samples_bytes))} of drawn images")
    return "; ".join([*parts, "the statement"])
