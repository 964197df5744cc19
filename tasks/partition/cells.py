"""What the cells of one row say: whose an image is, since when, and its prompt; or the problem that there is with them."""

from __future__ import annotations

from tasks.partition import dates
from tasks.partition.metadata import Row
from tasks.partition.names import clean, quoted
from tasks.partition.prompts import PromptError, normalise
from tasks.partition.shares import ShareError, parse_shares
from tasks.partition.types import Claims, Problem, Shares


def owners(name: str, row: Row, claims: Claims, uploader: str | None) -> Shares | None:
    """Owners in a row's cell; None, with a problem, where there are none to be had. In an upload they are the uploader, if
    nothing else is said, and never others alone: nobody puts images into another's name."""
    cell = row.owners
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)  # owners known by number are common, and only a CSV table makes them text
    if cell is None or cell != cell:
        cell = ""
    if not isinstance(cell, str):
        claims.refuse(name, "wrong-type", f"{row.where}: the owner of {name!r} is {quoted(cell)}, not a text")
        return None
    if uploader is not None and clean(cell) in ("", uploader):  # a name may look like owners with shares
        return ((uploader, 1.0),)
    try:
        shares = parse_shares(cell)
    except ShareError as error:
        claims.refuse(name, "bad-shares", f"{row.where}: the owner cell {quoted(cell)} of {name!r} {error}")
        return None
    if not shares:
        claims.refuse(name, "no-owner", f"{row.where} gives {name!r} no owner")
        return None
    if uploader is not None and uploader not in dict(shares):
        reason = (
            f"{row.where}: {name!r} was handed in by {uploader!r} and is said to be of {quoted(cell)}; whoever hands an "
            "image in must be one of its owners"
        )
        claims.refuse(name, "others-name", reason)
        return None
    return shares


def repeats_agree(name: str, listed: list[Row], claims: Claims) -> bool:
    where = " and ".join(row.where for row in listed)
    if all(
        (row.owners, row.date, row.prompt) == (listed[0].owners, listed[0].date, listed[0].prompt) for row in listed
    ):
        reason = f"{where} list {name!r} with the same owner; it counts once"
        claims.problems.append(Problem(name, "repeated-row", reason, "kept"))
        return True
    what = "owners, dates or prompts" if claims.prompts else "owners or dates"
    claims.refuse(name, "repeated-row", f"{where} list {name!r} with different {what}; keep one row")
    return False


def date(name: str, row: Row, claims: Claims) -> str | None:
    try:
        return dates.as_text(row.date)
    except ValueError:
        reason = f"{row.where}: the date {quoted(row.date)} of {name!r} is not an ISO date; the image has no date"
        claims.problems.append(Problem(name, "bad-date", reason, "kept"))
        return None


def prompt(name: str, row: Row, claims: Claims) -> str | None:
    """'' where prompts are not asked for; None, with a problem, where there is none to be had."""
    if not claims.prompts:
        return ""
    try:
        return normalise(row.prompt)
    except PromptError as error:
        claims.refuse(name, error.kind, f"{row.where}: the prompt of {name!r} {error}")
        return None
