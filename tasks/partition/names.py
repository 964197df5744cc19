"""Contributors' names: one spelling for one name, and which names are refused.

Names reach reports, file names of plots and object keys, so what could leave a folder or disguise itself on a page is
refused here, once, instead of being escaped in every place (which is done too).
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from infra.names import LONGEST_NAME as LONGEST
from infra.names import one_spelling, refused_character

MERGED = "small contributors"  # the name of the contributor that small ones are merged into


def clean(name: str) -> str:
    """`name` in Unicode's composed form (NFC) without surrounding white space, so one name has one spelling."""
    return one_spelling(name).strip()


def unsafe(name: str) -> str | None:
    """Why a cleaned name is refused, as the end of the sentence "the name …", or None if it is fine."""
    if not name:
        return "is empty"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if "/" in name or "\\" in name:
        return "looks like a path (it holds a slash)"
    if name.startswith("."):
        return "starts with a dot"
    if name == MERGED:
        return "is the name given to merged contributors"
    if found := refused_character(name):
        return f"holds {found}"
    if all(unicodedata.category(character)[0] in "CMZ" for character in name):
        return "shows no character"
    return None


def quoted(value: object) -> str:
    """`value` by repr, safe to print in one line, and cut: cells may hold megabytes."""
    text = repr(value[: LONGEST + 1] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` names that look most like `name`, best first."""
    return difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.4)
