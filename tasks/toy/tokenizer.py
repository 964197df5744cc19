"""A CLIP tokenizer whose words are those of the prompts, and which still takes any text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

MERGES = 500  # at most; the prompts' words are used up before
LONGEST = 24  # tokens of a prompt, start and end included
_START, _END = "<|startoftext|>", "<|endoftext|>"
_WORD_ENDS = "</w>"


def train_tokenizer(prompts: Sequence[str]) -> CLIPTokenizer:
    """Byte-pair encoding (Sennrich et al. 2016) learned from `prompts`; the same prompts give the same vocabulary.

    As in CLIP, the vocabulary begins with the 256 bytes, inside and at the end of a word: a word that no prompt has is
    spelled in bytes, never lost. The end token is its last, which is how CLIP finds the end of a prompt.
    """
    letters = sorted(ByteLevel.alphabet())
    # Given as special tokens, all bytes get fixed places. The trainer numbers others as it meets them in a hash table,
    # and breaks ties between pairs by number: two runs could give two vocabularies.
    places = [*letters, *(letter + _WORD_ENDS for letter in letters)]
    learning = Tokenizer(BPE(end_of_word_suffix=_WORD_ENDS))
    words = CLIPTokenizer().backend_tokenizer  # how CLIP lowers, splits and spells words; without a vocabulary
    learning.normalizer, learning.pre_tokenizer = words.normalizer, words.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=len(places) + MERGES, special_tokens=places, end_of_word_suffix=_WORD_ENDS, show_progress=False
    )
    learning.train_from_iterator(prompts, trainer)
    merges = [tuple(pair) for pair in json.loads(learning.to_str())["model"]["merges"]]
    tokens = [*places, *dict.fromkeys(left + right for left, right in merges), _START, _END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LONGEST)


def save_vocabulary(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write vocab.json and merges.txt, the files of a CLIP tokenizer on a hub, beside transformers' own tokenizer.json,
    which older programs do not read."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
