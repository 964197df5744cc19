"""The toy tokenizer reads back as it was saved, loses no text, and is the same from the same prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from tasks.toy.tokenizer import LONGEST, MERGES, save_vocabulary, train_tokenizer

PROMPTS = ["an emoji of food and drink: food fruit", "an emoji of animals and nature: animal mammal"]
TOKENIZER = train_tokenizer(PROMPTS)


def test_words_of_the_prompts_are_one_token_each_and_prompts_come_back() -> None:
    tokens = TOKENIZER(PROMPTS[0]).input_ids
    assert TOKENIZER.convert_ids_to_tokens(tokens)[1:4] == ["an</w>", "emoji</w>", "of</w>"]
    assert len(tokens) == len(PROMPTS[0].replace(":", " :").split()) + 2
    assert TOKENIZER.decode(tokens, skip_special_tokens=True) == PROMPTS[0].replace(":", " :")


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40))
def test_unknown_words_are_spelled_and_none_is_unknown(text: str) -> None:
    if "<|" in text:
        return
    tokens = TOKENIZER(text).input_ids
    assert tokens[0] == TOKENIZER.bos_token_id
    # The end stands at the end only: it is also CLIP's sign for unknown tokens, and where CLIP ends a prompt.
    assert tokens.index(TOKENIZER.eos_token_id) == len(tokens) - 1


def test_saved_as_on_a_hub_it_is_the_same_with_and_without_the_newer_file(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    save_vocabulary(TOKENIZER, tmp_path)
    newer = CLIPTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    older = CLIPTokenizer.from_pretrained(tmp_path)
    for text in [*PROMPTS, "", "žlutý kůň 🐴 2026 xyzzy", "don't"]:
        assert newer(text).input_ids == older(text).input_ids == TOKENIZER(text).input_ids
    assert newer.model_max_length == older.model_max_length == LONGEST
    assert json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8")) == TOKENIZER.get_vocab()


def test_the_vocabulary_is_bounded_and_ends_with_the_end_token() -> None:
    many = train_tokenizer([f"w{number:05d}x" * 3 for number in range(3000)] + ["".join(PROMPTS)])
    assert len(many) <= 512 + MERGES + 2
    for tokenizer in (TOKENIZER, many):
        assert tokenizer.eos_token_id == len(tokenizer) - 1 == max(tokenizer.get_vocab().values())


@pytest.mark.parametrize("_", range(5))
def test_the_same_prompts_give_the_same_vocabulary(_: int) -> None:
    assert train_tokenizer(PROMPTS).backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()
