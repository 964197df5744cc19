"""Names as people may see them: contributor and file names are hostile input.

A name can hold a script, a formula, a right-to-left mark that turns the line round, a newline, an invisible
character that makes two contributors look the same, or ten thousand letters. Every name that leaves this
package passes one of the functions below: `html`, `markdown`, `csv_cell` or `plain`.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup

DISPLAY_LIMIT = 40
_JOINERS = "\u200c\u200d"  # needed to write Persian, Indic scripts and emoji
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that are drawn as nothing
# They choose another glyph, if any.
_UNSEEN_MARKS = re.compile("[\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MARKS_IN_A_ROW = 4  # enough for Thai, Hebrew and Vietnamese; more would paint over the lines above and below
_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the wide ones too: some spreadsheets take them for the same
_FORMULA_CELL = re.compile(rf"'*[\s\u200c\u200d]*[{re.escape(_FORMULA)}]")
_PUNCTUATION = re.compile(r"[!-,.-/:-@\[-`{-~]")  # ASCII punctuation but the hyphen


def visible(name: str) -> str:
    """The name with everything invisible or line-turning written out, as in ⟨U+202E⟩; never empty."""
    out: list[str] = []
    marks = 0
    for index, char in enumerate(name):
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if (
            kind in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
            or char in _BLANK
            or marks > _MARKS_IN_A_ROW
            or (_UNSEEN_MARKS.match(char) and not _chooses(name, index))
            or (kind == "Zs" and char not in " \u3000")
            or (kind == "Cf" and not (char in _JOINERS and _joins(name, index)))
            or (char == " " and (index in (0, len(name) - 1) or name[index - 1] == " "))  # a browser would eat it
        ):
            out.append(f"⟨U+{ord(char):04X}⟩")
        else:
            out.append(char)
    return "".join(out) or "(no name)"


def _joins(name: str, index: int) -> bool:
    """Whether the joiner at this place stands between characters of a script that has a use for it."""
    before, after = name[index - 1 : index], name[index + 1 : index + 2]
    return (
        bool(before and after) and min(before, after) >= "\u0590" and before not in _JOINERS and after not in _JOINERS
    )


def _chooses(name: str, index: int) -> bool:
    """Whether the mark at this place follows a symbol or an ideograph, of which it chooses a form."""
    before = name[index - 1 : index]
    return bool(before) and (
        unicodedata.category(before) == "So" or "\u3400" <= before <= "\ufaff" or before > "\U0001ffff"
    )


def shorten(text: str, limit: int = DISPLAY_LIMIT) -> str:
    """At most `limit` characters; the middle goes, because names often differ only in their ends."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 1]}…{text[-tail:]}"


def plain(name: str, limit: int = DISPLAY_LIMIT) -> str:
    """For a terminal, a plot or a table cell that the reader does not interpret."""
    return shorten(visible(name), limit)


def words(said: str) -> str:
    """A property's unit or description, or a text of several lines: in one line, nothing unseen; '' if there is nothing."""
    line = " ".join(said.split())
    return visible(line) if line else ""


def title(property_name: str) -> str:
    """A property's name as a heading: heldout_loss → heldout loss, my_module:warmth → warmth."""
    return plain(property_name.rsplit(":", 1)[-1].replace("_", " "))


def html(name: str, limit: int = DISPLAY_LIMIT) -> Markup:
    """For HTML: isolated from the direction of the text round it, in full in the title where it was shortened."""
    full = visible(name)
    short = shorten(full, limit)
    if short == full:
        return Markup("<bdi>{}</bdi>").format(full)
    return Markup('<bdi title="{}">{}</bdi>').format(full, short)


def markdown(name: str, limit: int = DISPLAY_LIMIT) -> str:
    """For Markdown, table cells included: no character is left that could begin markup, a cell or a link."""
    short = plain(name, limit)
    # Renderers look for bare addresses after they have decoded entities: a word joiner breaks the address.
    short = re.sub(r"(?i)(https?|ftp|mailto):", "\\1\u2060:", short)
    short = re.sub(r"(?i)www\.", "www\u2060.", short).replace("@", "\u2060@")
    return _PUNCTUATION.sub(lambda match: f"&#{ord(match.group())};", short)


def csv_cell(name: str) -> str:
    """For CSV: a name that a spreadsheet would take for a formula begins with an apostrophe.

    So does one that begins like that with an apostrophe of its own: no two names become the same cell, and whoever takes the
    first apostrophe from a cell like that has the name.
    """
    name = storable(name)
    return f"'{name}" if _FORMULA_CELL.match(name) else name


def storable(name: str) -> str:
    """The name as valid UTF-8: bytes of a file name that never were UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def columns(text: str) -> int:
    """How many columns a terminal uses for the text."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    nothing = sum(unicodedata.category(c) in ("Mn", "Me", "Cf") for c in text)
    return len(text) + wide - nothing


def pad(text: str, width: int, *, left: bool = False) -> str:
    """Fill with blanks to `width` terminal columns; `left` puts the blanks before the text."""
    blanks = " " * max(0, width - columns(text))
    return blanks + text if left else text + blanks
