"""What was found, in words and as a table."""

from __future__ import annotations

from typing import Any

from tasks.housekeeping.types import Cleared
from tasks.publish import numbers, text


def table(found: Cleared) -> list[dict[str, Any]]:
    """Rows for `create_table_artifact` and the log: one a kind and reason."""
    goes = "deleted" if found.deleted else "can go"
    return [
        {
            "kind": group.kind,
            "verdict": goes if group.goes else "kept",
            "how many": group.count,
            "size": numbers.size(group.bytes),
            "why": group.why,
            "such as": ", ".join(_short(key) for key in group.examples),
        }
        for group in found.groups
    ]


def summary(found: Cleared) -> str:
    """One sentence."""
    kept = f"kept with all that they rest on: {found.statements:,} {'statement' if found.statements == 1 else 'statements'}"
    things = f"{found.count:,} {'thing' if found.count == 1 else 'things'} of {numbers.size(found.bytes)}"
    if found.deleted:
        return f"Deleted: {things}; {kept}."
    said = f"Can go: {things}; {kept}. Nothing was deleted."
    if found.running:
        said += f" Deleting would be refused now: {'; '.join(text.plain(who, 200) for who in found.running)}."
    return said


def lines(found: Cleared) -> str:
    """The table for a log: aligned columns."""
    rows = [[str(cell) for cell in row.values()] for row in table(found)]
    if not rows:
        return "The store holds no weights, no images and no statements."
    head = [list(table(found)[0]), *rows]
    width = [max(text.columns(row[i]) for row in head) for i in range(len(head[0]))]
    numeric = (2, 3)
    return "\n".join(
        "  ".join(text.pad(cell, width[i], left=i in numeric) for i, cell in enumerate(row)).rstrip() for row in head
    )


def _short(key: str) -> str:
    """A key with its digest cut: enough to find it by."""
    return "/".join(f"{part[:12]}…" if len(part) > 40 else part for part in key.split("/")[1:])
