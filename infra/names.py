"""Names that come from people: which ones are refused, and what an object key is made of instead.

A key of the store is plain ASCII; people and their files are not. So a name is kept inside records, and keys hold digests.
"""

from __future__ import annotations

import re
import unicodedata

from infra.digest import sha256

LONGEST_NAME = 200  # characters of a contributor's name
LONGEST_PART = 255  # bytes of one part of a file's name, as on any file system
LONGEST_PATH = 1024  # bytes of the whole
_JOINERS = {"\u200c", "\u200d"}  # real names in Persian, Hindi and others need them
_FORBIDDEN = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair (a name that is not Unicode)",
    "Co": "a private-use character",
    "Cf": "an invisible or direction-changing character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def one_spelling(name: str) -> str:
    """`name` in Unicode's composed form: macOS writes "é" as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def refused_character(name: str) -> str | None:
    """What `name` holds that could disguise it or break a line, or None."""
    for character in name:
        category = unicodedata.category(character)
        if category in _FORBIDDEN and character not in _JOINERS:
            return f"{_FORBIDDEN[category]} (U+{ord(character):04X})"
    return None


def refused_contributor(name: str) -> str | None:
    """Why a contributor's name is refused, as the end of the sentence "the name …"; None if it is fine."""
    if name != one_spelling(name).strip():
        return "has white space around it, or is not in Unicode's composed form"
    if all(unicodedata.category(character)[0] in "CMZ" for character in name):
        return "shows no character"
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if "/" in name or "\\" in name or name.startswith("."):
        return "looks like a path"
    found = refused_character(name)
    return f"holds {found}" if found else None


def refused_file(name: str) -> str | None:
    """Why a relative file name, with forward slashes, is refused, as the end of a sentence; None if it is fine."""
    found = refused_character(name)
    if found:
        return f"holds {found}"
    if name != one_spelling(name):
        return "is not in Unicode's composed form"
    if "\\" in name:
        return "holds a backslash"
    if name.startswith(("/", "~")) or re.match(r"[A-Za-z]:", name) or "://" in name:
        return "is not relative"
    parts = name.split("/")
    if any(part.strip() in ("", ".", "..") for part in parts):
        return "leads elsewhere, or has a part that is empty"
    if any(part.startswith(".") for part in parts):
        return "has a part that is hidden (it starts with a dot)"
    if any(len(part.encode()) > LONGEST_PART for part in parts) or len(name.encode()) > LONGEST_PATH:
        return f"is longer than {LONGEST_PART} bytes in a part, or {LONGEST_PATH} in all"
    return None


def key_part(name: str) -> str:
    """A part of a key for a contributor: something a person recognises, and a digest that tells equal ones apart.

    "Emily Jäger" -> "emily-jager-" and twelve hexadecimal digits.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{slug or 'contributor'}-{sha256(one_spelling(name).encode())[:12]}"
