"""How the evaluations were chosen, and until when: rounds and reuse in words, for logs, the Prefect UI and the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tasks.plan.rounds import Round, Standing
from tasks.publish import numbers, text
from tasks.publish.types import StatementData
from tasks.study import Study


def say_round(this: Round, level: float) -> list[str]:
    """Lines for a log: what was evaluated, and one for each property: how sure, and how much longer."""
    reused = f", {this.reused} reused" if this.reused else ""
    lines = [
        f"round {this.number}: {this.draws} evaluations asked for so far, {this.evaluated} new in this round{reused}"
    ]
    for s in this.standings:
        said = f"widest {_level(level)} interval {width(s)}" if s.progress is None else s.progress.sentence
        lines.append(f"{s.name}: {said}{_more(this, s)}")
    waiting = [s for s in this.standings if s.progress is not None and not s.progress.enough]
    if len(waiting) > 1:
        lines.append(f"{this.slowest.name} will take longest")
    return lines


def rounds_table(rounds: Sequence[Round], level: float) -> list[dict[str, Any]]:
    """Rows for `create_table_artifact` and the report, one a round."""
    return [_row(this, level) for this in rounds]


def _row(this: Round, level: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "round": this.number,
        "evaluations": this.draws,
        "new": this.evaluated,
        "reused": this.reused,
    }
    for s in this.standings:
        name = text.title(s.name)
        row[f"{name}: widest {_level(level)} interval"] = width(s)
        if s.progress is not None:
            row[f"{name}: goal"] = "reached" if s.progress.enough else "not yet" + _more(this, s)
    return row


def width(standing: Standing) -> str:
    """The widest interval in the property's unit, and as a part of what everybody gave together."""
    if not math.isfinite(standing.widest):
        return "not known"
    absolute = f"{numbers.alone(standing.widest)} {text.plain(standing.unit)}"
    part = standing.widest / abs(standing.gain) if standing.gain else math.inf
    return absolute if not math.isfinite(part) else f"{absolute}, {100 * part:.2g} % of v(N) − v(∅)"


def _more(this: Round, standing: Standing) -> str:
    if standing.progress is None or standing.progress.enough:
        return ""
    if standing.more is None:
        return "; how many more it takes cannot be foreseen"
    cost = "" if this.seconds is None else f", {numbers.duration(standing.more * this.seconds)} of one worker"
    return f"; about {standing.more} more evaluations{cost}"


def _widest(data: StatementData) -> str:
    """How wide the intervals came out, property by property."""
    if not data.rounds:
        return ""
    level = _level(data.study.estimation.stop_level)
    said = ", ".join(f"{width(s)} for {text.title(s.name)}" for s in data.rounds[-1].standings)
    return f", of which the widest ({level}) is {said}"


def _level(level: float) -> str:
    return f"{100 * level:g} %"


def rule(study: Study) -> str:
    """The stop rule in words, or that there is none."""
    e = study.estimation
    level = _level(e.stop_level)
    if e.stop_width is not None:
        return f"every {level} interval of an excess credit at most {e.stop_width:g} wide, in each property's unit"
    if e.stop_relative_width is not None:
        return (
            f"every {level} interval of an excess credit at most {100 * e.stop_relative_width:g} % of v(N) − v(∅) wide"
        )
    if e.stop_top is not None:
        return f"the {e.stop_top} contributors with the largest credits settled against all others with {level} or more each"
    return "none"


def story(data: StatementData) -> list[str]:
    """Sentences for the report: how the evaluations were chosen, why there were no more, and what was reused."""
    told: list[str] = []
    if data.ending is not None and data.rounds:
        many = len(data.rounds)
        asked = data.rounds[-1].draws
        told.append(
            f"{asked} evaluations were asked for in {many} {'round' if many == 1 else 'rounds'}. "
            f"Stop rule: {rule(data.study)}. {data.ending.sentence}"
        )
        if data.ending.reached:
            told.append(
                "Whether to stop was judged after each round, on the least sure contributor of every property; "
                "intervals are as they came out then, and are not widened for having been looked at more than once."
            )
    reused = max((r.reused for r in data.results), default=0)
    if reused:
        told.append(
            f"{reused} more evaluations of earlier runs, which this study's design did not ask for, entered the credits."
        )
    left = max((r.reused_with_former for r in data.results), default=0)
    if left:
        names = ", ".join(text.plain(name) for name in data.former)
        told.append(
            f"{left} of them hold images of contributors who have left ({names}). They inform the estimate only by what "
            f"they show of the others, and what that leaves open is in the intervals{_widest(data)}."
        )
    told += [f"{count} evaluations in the ledger were not used: {why}." for why, count in data.ignored.items()]
    return told
