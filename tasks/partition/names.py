"""Contributors' names: one spelling for one name, and which names are refused.

Names reach reports, file names of plots and object keys, so what could leave a folder or disguise itself on a page is
refused here, once, instead of being escaped in every place (which is done too).
"""

from __future__ import annotations

import difflib
import re
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


def looks(name: str) -> str:
    """What a reader takes a name for: the same for names that differ by case, spaces, characters that are drawn as nothing,
    and letters of other scripts that are drawn alike. Two names with one look may still be two people's."""
    drawn = "".join(c for c in unicodedata.normalize("NFKC", name) if not _UNDRAWN.match(c))
    return " ".join(drawn.translate(_ALIKE).casefold().split())


# Letters of Cyrillic, Greek and Latin itself that most fonts draw like these.
_DRAWN_LIKE = {
    "A": "\u0410\u0391", "B": "\u0412\u0392", "C": "\u0421", "E": "\u0415\u0395", "H": "\u041d\u0397",
    "I": "\u0406\u0399", "J": "\u0408", "K": "\u041a\u039a", "M": "\u041c\u039c", "N": "\u039d", "O": "\u041e\u039f",
    "P": "\u0420\u03a1", "S": "\u0405", "T": "\u0422\u03a4", "X": "\u0425\u03a7", "Y": "\u0423\u03a5", "Z": "\u0396",
    "a": "\u0430\u03b1\u0251", "c": "\u0441", "d": "\u0501", "e": "\u0435", "g": "\u0261", "h": "\u04bb",
    "i": "\u0456\u03b9\u0131", "j": "\u0458", "k": "\u03ba", "l": "\u04cf1", "o": "\u043e\u03bf0",
    "p": "\u0440\u03c1", "q": "\u051b", "s": "\u0455", "v": "\u03bd", "w": "\u051d", "x": "\u0445", "y": "\u0443",
}  # fmt: skip
_ALIKE = {ord(other): letter for letter, others in _DRAWN_LIKE.items() for other in others}
_UNDRAWN = re.compile(
    "[\u034f\u115f\u1160\u180b-\u180f\u200c\u200d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the `known` names that look most like `name`, best first."""
    return difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.4)
