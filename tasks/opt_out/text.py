"""An opt-out in words, for the page in the UI and for the log. Every name is made safe for the medium."""

from __future__ import annotations

from tasks.opt_out.types import Left
from tasks.publish import numbers, text

KINDS = {
    "uploads": "objects of their uploads",
    "data": "sets of prepared images with their prompts, everybody's, made again by the next run",
    "latents": "sets of images as an autoencoder encodes them, everybody's, made again by the next run",
    "checkpoints": "interrupted trainings on everybody's images, which begin anew",
    "models": "fine-tuned models of coalitions in which they were",
    "samples": "sets of images drawn from these models",
}


def summary(left: Left) -> str:
    """One sentence, for the log."""
    who = text.plain(left.contributor)
    if left.event == "returned":
        return f"{who} has returned: what is theirs counts in the next run. What was removed has to be handed in again."
    gone = sum(count for count, _ in left.removed.values())
    return f"{who} has opted out: {gone:,} objects were removed, and no run uses their images from now on."


def page(left: Left) -> str:
    """Markdown: what was removed, and what still holds their data."""
    lines = [
        f"# {text.markdown(left.contributor)} {'has returned' if left.event == 'returned' else 'has opted out'}",
        f"Since {left.since}, by {text.markdown(left.by)}. Record: `{left.record}`",
    ]
    if left.event == "returned":
        return "\n\n".join(
            [*lines, "What is theirs counts again in the next run. What was removed has to be handed in again."]
        )
    lines.append("## Removed")
    table = [f"| {KINDS[kind]} | {count:,} | {numbers.size(size)} |" for kind, (count, size) in left.removed.items()]
    if table:
        lines.append("\n".join(["| what | how many | size |", "|---|---:|---:|", *table]))
    else:
        lines.append("There was nothing of theirs to remove.")
    lines += ["## What still holds their data", "\n".join(f"- {sentence}" for sentence in left.still)]
    if left.could_not:
        lines += ["## What cannot be done any more", "\n".join(f"- {sentence}" for sentence in left.could_not)]
    return "\n\n".join(lines)


def lines(left: Left) -> str:
    """The same for a log."""
    removed = [
        f"removed: {count:,} {KINDS[kind]}, {numbers.size(size)}" for kind, (count, size) in left.removed.items()
    ]
    return "\n".join([*removed, *(f"stays: {s}" for s in left.still), *left.could_not, f"record: {left.record}"])
