"""Prompts by themselves: hostile text becomes one spelling, keys of rows, and what is read back from the store."""

from __future__ import annotations

import hashlib
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.store import StoreError
from tasks.partition.contributors import fingerprint
from tasks.partition.prompts import LONGEST_PROMPT, LONGEST_RAW, PromptError, as_array, normalise, prompts_of, row_key

TEXT = st.text(st.characters(), max_size=40)  # surrogates too
HOSTILE = st.text(st.sampled_from("a ä\u0308e\t\n\u2028\u00a0\ufeff\u200b\u202e\u200d\x00\x1b\x85\u3000\ue000🙂\ud800"))


# The normaliser


@given(st.one_of(TEXT, HOSTILE, st.none(), st.integers(), st.floats(), st.lists(st.text()), st.binary()))
def test_a_normalised_prompt_is_one_line_of_visible_text_and_normalising_it_again_changes_nothing(cell: object) -> None:
    try:
        prompt = normalise(cell)
    except PromptError as error:
        assert error.kind in ("no-prompt", "long-prompt", "bad-prompt")
        return
    assert normalise(prompt) == prompt == " ".join(prompt.split())
    assert unicodedata.is_normalized("NFC", prompt)
    assert 0 < len(prompt) <= LONGEST_PROMPT
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp") for c in prompt)
    assert all(c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Cn" for c in prompt)
    prompt.encode()


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=30))
def test_what_can_be_seen_stays_as_it_is_but_for_its_unicode_form(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        ("  a   cat\n\ton\u00a0a mat ", "a cat on a mat"),
        ("ka\u0308se", "käse"),
        ("a\u200b\u0308", "ä"),  # what is hidden goes first: the rest must be composed afterwards
        ("\ufeffa cat\x00\x1b[31m", "a cat[31m"),
        ("pay \u202etac\u202c a", "pay tac a"),  # what turns the direction of the text
        ("👩\u200d🎨 می\u200cخواهم", "👩\u200d🎨 می\u200cخواهم"),  # joiners that emojis and Persian need
        ("x" * LONGEST_PROMPT, "x" * LONGEST_PROMPT),
        ("x" + " " * (LONGEST_RAW - 2) + "y", "x y"),
    ],
)
def test_one_spelling(cell: str, prompt: str) -> None:
    assert normalise(cell) == prompt


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("", "no-prompt", "missing"),
        (None, "no-prompt", "missing"),
        (float("nan"), "no-prompt", "missing"),
        (" \n", "no-prompt", "no character"),
        ("\u200b\x00", "no-prompt", "no character"),
        ("\u200d\u0301", "no-prompt", "no character"),
        (7, "no-prompt", "7, not a text"),
        (["a cat"], "no-prompt", "not a text"),
        ("x" * (LONGEST_PROMPT + 1), "long-prompt", "1,001 characters; 1,000"),
        (" " * (LONGEST_RAW + 1), "long-prompt", "10,001"),
        ("\ufb2c" * 400, "long-prompt", "1,200"),  # Unicode's composed form of it is three characters
        ("a \ud800 cat", "bad-prompt", "surrogate"),
    ],
)
def test_what_is_no_prompt_says_why(cell: object, kind: str, words: str) -> None:
    with pytest.raises(PromptError, match=words) as raised:
        normalise(cell)
    assert raised.value.kind == kind
    assert len(str(raised.value)) < 400


# Rows and fingerprints


def test_a_row_without_a_prompt_has_the_pixels_own_digest_and_another_prompt_is_another_row() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    assert row_key(digest, "") == digest
    keys = {digest, row_key(digest, "a"), row_key(digest, "b"), row_key(hashlib.sha256(b"y").hexdigest(), "a")}
    assert len(keys) == 4 and all(len(bytes.fromhex(key)) == 32 for key in keys)
    # Keys name what is in people's stores: they must stay what they are.
    assert row_key(digest, "a cat") == "11e7967df3e4702319da1e59b71add94f1033b379c5da21c94bbbce024c4ee46"


def test_fingerprints_without_prompts_are_what_they_were_and_a_prompt_changes_them() -> None:
    plain = [("d2", 0.5, ""), ("d1", 1.0, "")]
    assert fingerprint(plain) == hashlib.sha256(b'[["d1",1.0,""],["d2",0.5,""]]').hexdigest()
    told = fingerprint([("d2", 0.5, "ä dog"), ("d1", 1.0, "a cat")])
    assert told == hashlib.sha256(rb'[["d1",1.0,"a cat"],["d2",0.5,"\u00e4 dog"]]').hexdigest()


# In the store


def test_prompts_of_the_greatest_length_are_not_too_many_bytes() -> None:
    prompts = ["🙂" * LONGEST_PROMPT, '"\\' * (LONGEST_PROMPT // 2)]
    arrays = {"train_prompts": as_array(prompts), "train_pixels": np.zeros((2, 1, 1, 3), np.uint8)}
    arrays |= {"heldout_prompts": as_array([]), "heldout_pixels": np.zeros((0, 1, 1, 3), np.uint8)}
    assert prompts_of(arrays, "train") == tuple(prompts) and prompts_of(arrays, "heldout") == ()


def stored(data: bytes) -> dict[str, np.ndarray]:
    return {
        "train_prompts": np.frombuffer(data, np.uint8),
        "heldout_prompts": as_array(["a"]),
        "train_pixels": np.zeros((2, 1, 1, 3), np.uint8),
        "heldout_pixels": np.zeros((1, 1, 1, 3), np.uint8),
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'["a"]', "are 1, but there are 2"),
        (b'["a", "b"]', "canonical"),
        (b'{"a":"b"}', "canonical JSON of a list"),
        (b'["a",7]', "hold 7"),
        (b'["a",""]', "no prompt"),
        (b'["a",null]', "no prompt"),
        (b'["a","\\ud800"]', "not JSON"),
        (b'["a","' + b"x" * 1001 + b'"]', "no prompt"),
        (b'["a","' + b"x" * 9000 + b'"]', "too many"),
        (b'["a","\xff"]', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"\x80\x04K*.", "not JSON"),  # a pickle
    ],
)
def test_what_is_not_what_was_stored_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        prompts_of(stored(data), "train")


def test_arrays_of_another_kind_or_half_of_them_are_refused() -> None:
    arrays = stored(b'["a","b"]')
    assert prompts_of(arrays, "train") == ("a", "b")
    with pytest.raises(StoreError, match="not a text"):
        prompts_of(arrays | {"train_prompts": np.zeros((2, 2), np.uint8)}, "train")
    with pytest.raises(StoreError, match="not a text"):
        prompts_of(arrays | {"train_prompts": np.zeros(9, np.float32)}, "train")
    del arrays["heldout_prompts"]
    with pytest.raises(StoreError, match="no heldout_prompts"):
        prompts_of(arrays, "train")
