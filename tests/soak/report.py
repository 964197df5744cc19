"""What came out, as data, as a table for people and as one plot."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from tests.soak.inflict import Done
from tests.soak.leaks import growth
from tests.soak.watch import Size, Watch

MEBI = 2**20


def leaks(sizes: Sequence[Size]) -> list[dict[str, Any]]:
    """Of each process that lived long enough: its part, and whether its memory or its open files grew. Flow runs are left
    out, they end by themselves."""
    of_process: dict[tuple[str, int], list[Size]] = defaultdict(list)
    for size in sizes:
        if size.part != "flow run":
            of_process[size.part, size.process].append(size)
    rows = []
    for (part, process), seen in sorted(of_process.items()):
        ages = [size.age for size in seen]
        for what, values in (
            ("memory MiB", [size.memory / MEBI for size in seen]),
            ("open files", [float(size.handles) for size in seen]),
        ):
            found = growth(ages, values)
            if found.judged:
                rows.append(
                    {
                        "part": part,
                        "process": process,
                        "what": what,
                        "judged_s": round(found.judged),
                        "median": round(statistics.median(values), 1),
                        "an_hour": round(found.slope, 1),
                        "rise": round(found.rise, 3),
                        "p": round(found.p, 4),
                        "suspected": found.suspected,
                    }
                )
    return rows


def processes(sizes: Sequence[Size]) -> dict[str, dict[str, float]]:
    """Of each part: most processes at a time, most memory in all, most open files in all."""
    moments: dict[str, dict[float, list[Size]]] = defaultdict(lambda: defaultdict(list))
    for size in sizes:
        moments[size.part][size.at].append(size)
    return {
        part: {
            "processes": max(len(seen) for seen in at.values()),
            "memory_mib": round(max(sum(s.memory for s in seen) for seen in at.values()) / MEBI),
            "open_files": max(sum(s.handles for s in seen) for seen in at.values()),
        }
        for part, at in sorted(moments.items())
    }


def table(result: Mapping[str, Any]) -> str:
    """The result in lines for people."""
    lines = [f"soak: seed {result['seed']}, {result['minutes']} min of faults", "", "faults"]
    for kind, count in result["faults"].items():
        lines.append(f"  {kind:24}{count['done']:5} done{count['nobody there']:5} found nobody")
    lines += ["", "runs"]
    for what, count in result["runs"].items():
        lines.append(f"  {what:24}" + ", ".join(f"{number} {how}" for how, number in count.items()))
    lines.append(f"  believed running, process gone: {result['believed_running']}")
    for name in ("evaluations", "statements", "latest", "left_behind"):
        lines += ["", name.replace("_", " ")]
        for what, value in result[name].items():
            lines.append(f"  {what:44} {_short(value)}")
    lines += ["", f"{'part':18}{'processes':>10}{'MiB':>8}{'open files':>12}   (most at a time)"]
    for part, most in result["processes"].items():
        lines.append(f"{part:18}{most['processes']:10}{most['memory_mib']:8}{most['open_files']:12}")
    judged = result["leaks"]
    lines += ["", f"growth, of {len({row['process'] for row in judged})} processes that lived long enough"]
    for row in judged:
        lines.append(
            f"  {row['part']:16}{row['process']:>8} {row['what']:11}{row['median']:9} {row['an_hour']:+9} an hour, "
            f"{row['rise']:+.1%} in {row['judged_s']} s, p {row['p']}" + ("  SUSPECTED" if row["suspected"] else "")
        )
    lines += ["", f"same credits as undisturbed: {result['undisturbed']['said']}"]
    lines += ["", "VERDICT: " + ("nothing wrong" if not result["wrong"] else "")]
    lines += [f"  WRONG  {text}" for text in result["wrong"]]
    return "\n".join(lines)


def counted(done: Sequence[Done]) -> dict[str, dict[str, int]]:
    """Faults by kind: done, and those that found nobody to do it to."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for each in done:
        found[each.fault.kind]["done" if each.to else "nobody there"] += 1
    return {kind: {"done": n["done"], "nobody there": n["nobody there"]} for kind, n in sorted(found.items())}


def draw(watch: Watch, done: Sequence[Done], began: float, path: Path) -> None:
    """Memory, open files, processes and records over time, with the faults."""
    figure, axes = pyplot.subplots(4, 1, figsize=(11, 11), sharex=True, constrained_layout=True)
    moments: dict[str, dict[float, list[Size]]] = defaultdict(lambda: defaultdict(list))
    for size in watch.sizes:
        moments[size.part][(size.at - began) / 60].append(size)
    times = sorted({time for at in moments.values() for time in at})
    for part, at in sorted(moments.items()):
        axes[0].plot(times, [sum(s.memory for s in at.get(t, ())) / MEBI for t in times], label=part)
        axes[1].plot(times, [sum(s.handles for s in at.get(t, ())) for t in times], label=part)
        axes[2].plot(times, [len(at.get(t, ())) for t in times], label=part)
    if watch.made:
        axes[3].step([(at - began) / 60 for at, _ in watch.made], [count for _, count in watch.made], where="post")
    kinds = sorted({each.fault.kind for each in done if each.to})
    colours = {kind: pyplot.get_cmap("tab20")(number % 20) for number, kind in enumerate(kinds)}
    for axis in axes:
        for each in done:
            if each.to:
                axis.axvline((each.at - began) / 60, color=colours[each.fault.kind], linewidth=0.7, alpha=0.7)
    labels = ("memory, MiB", "open files", "processes", "models in the ledger")
    for axis, label in zip(axes, labels, strict=True):
        axis.set_ylabel(label)
    axes[0].legend(loc="upper left", fontsize=7, ncols=4)
    handles = [pyplot.Line2D([], [], color=colours[kind], label=kind) for kind in kinds]
    axes[3].legend(handles=handles, loc="upper left", fontsize=7, ncols=3)
    axes[3].set_xlabel("minutes since the soak began")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "none" if not value else f"{len(value)}: " + "; ".join(map(str, value[:5])) + (" …" if value[5:] else "")
    return str(value)
