"""Prompts of images, for models that are told in words what to draw: one spelling, one row of the data each, stored as JSON.

A prompt is hostile text: it comes from whoever wrote the table. Unlike a name it is no identity, so what a reader cannot
see is removed rather than refused: captions that were gathered elsewhere often hold byte-order marks, soft hyphens or
zero-width spaces, and an image left out for one of them would take credit from its owner. What is left out is what cannot be
a prompt: no text at all, too long a text, or half of a surrogate pair, which has no bytes.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from infra.digest import canonical_json, digest_of
from infra.names import one_spelling, refused_character
from infra.store import StoreError
from tasks.partition.names import quoted

LONGEST_PROMPT = 1_000  # characters; a text encoder reads 77 tokens of it
LONGEST_RAW = 10_000  # characters as written; normalising a hostile text of megabytes takes minutes
_MOST_BYTES = 4 * LONGEST_PROMPT + 3  # of one prompt in JSON: characters as they are, two quotes, a comma


class PromptError(ValueError):
    """The cell holds no prompt: `kind` is the problem's slug, the message a sentence's end after "the prompt …"."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        super().__init__(reason)


def normalise(cell: object) -> str:
    """The prompt in a cell: what can be seen of it, in Unicode's composed form (NFC), single spaces between words.

    Removed are control, private-use and invisible or direction-changing characters, but for the joiners that some scripts
    and emojis need; line breaks and tabs are spaces. Normalising twice is normalising once.
    Raises PromptError, and nothing else, whatever the cell.
    """
    if cell is None or cell != cell or cell == "":
        raise PromptError("no-prompt", "is missing")
    if not isinstance(cell, str):
        raise PromptError("no-prompt", f"is {quoted(cell)}, not a text")
    if len(cell) > LONGEST_RAW:
        raise PromptError("long-prompt", f"has {len(cell):,} characters; {LONGEST_PROMPT:,} are the most")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in cell):
        raise PromptError("bad-prompt", f"{quoted(cell)} holds half of a surrogate pair; save the table as UTF-8")
    seen = "".join(character for character in cell if character.isspace() or not refused_character(character))
    prompt = one_spelling(" ".join(seen.split()))
    if all(unicodedata.category(character)[0] in "CMZ" for character in prompt):
        raise PromptError("no-prompt", f"{quoted(cell)} shows no character")
    if len(prompt) > LONGEST_PROMPT:
        raise PromptError("long-prompt", f"has {len(prompt):,} characters; {LONGEST_PROMPT:,} are the most")
    return prompt


def row_key(digest: str, prompt: str) -> str:
    """Name of a row of the data, which is a pair of pixels and prompt: sha256 (hex).

    Without a prompt it is the pixels' own digest, so nothing changes for models that take none.
    """
    return digest_of("row", {"pixels": digest, "prompt": prompt}) if prompt else digest


def as_array(prompts: Sequence[str]) -> np.ndarray:
    """Prompts as they are stored beside the images: uint8, the bytes of canonical JSON."""
    return np.frombuffer(canonical_json(list(prompts)), dtype=np.uint8)


def prompts_of(arrays: Mapping[str, np.ndarray], which: Literal["train", "heldout"]) -> tuple[str, ...]:
    """The prompts among stored images (`Partition.stored`), one for each row of `<which>_pixels`; () if they have none.

    Raises:
        StoreError: if they are not what was stored.
    """
    names = {f"{each}_prompts" for each in ("train", "heldout")}
    if not names & arrays.keys():
        return ()
    if missing := sorted(names - arrays.keys()):
        raise StoreError(f"the stored images have prompts, but no {missing[0]}")
    array, rows = arrays[f"{which}_prompts"], len(arrays[f"{which}_pixels"])
    said = f"the stored {which}_prompts"
    if array.dtype != np.uint8 or array.ndim != 1:
        raise StoreError(f"{said} are {array.dtype} of shape {list(array.shape)}, not a text")
    if array.size > 2 + rows * _MOST_BYTES:
        raise StoreError(f"{said} have {array.size:,} bytes, too many for {rows:,} prompts")
    data = array.tobytes()
    try:
        found = json.loads(data)
        canonical = canonical_json(found)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{said} are not JSON: {error}") from error
    if not isinstance(found, list) or canonical != data:
        raise StoreError(f"{said} are not the canonical JSON of a list")
    if len(found) != rows:
        raise StoreError(f"{said} are {len(found)}, but there are {rows} {which}_pixels")
    if bad := [prompt for prompt in found if not isinstance(prompt, str) or not 0 < len(prompt) <= LONGEST_PROMPT]:
        raise StoreError(f"{said} hold {quoted(bad[0])}, which is no prompt")
    return tuple(found)
