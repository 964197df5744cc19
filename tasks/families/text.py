"""Prompts to what a network is told of them: CLIP's text encoder and tokenizer (Radford et al. 2021), frozen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from tasks.model.parts import PipelineError, check_extent, check_report, check_weights, read_json
from tasks.model.threads import aligned

# Of a config only these are used: others can ask transformers for code, such as attention kernels from the hub.
_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "projection_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_act",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)

disable_progress_bar()  # of transformers, which draws one for every folder


class TextEncoder:
    """Prompts as float32 [tokens, width]. width: of the network's cross-attention."""

    def __init__(self, network: CLIPTextModel, tokenizer: Any) -> None:
        self.network = network
        self._tokenizer = tokenizer
        self.width = int(network.config.hidden_size)

    @classmethod
    def load(cls, encoder: Path, tokenizer: Path) -> TextEncoder:
        """From the folders of a pipeline: safetensors, and the tokenizer's tables; classes are named here, not there.

        Raises:
            PipelineError: if they are not CLIP's.
        """
        config = read_json(encoder / "config.json")
        if config.get("model_type") != "clip_text_model":
            raise PipelineError(f"{encoder} holds a {config.get('model_type')}, not CLIP's text encoder")
        check_extent(config, encoder)
        try:
            settings = CLIPTextConfig(**{name: config[name] for name in _SETTINGS if name in config})
            with torch.device("meta"):
                bones = CLIPTextModel(settings)
            check_weights(
                bones, encoder, prefix="text_model.", unused=("embeddings.position_ids",)
            )  # as older ones have them
            network, report = CLIPTextModel.from_pretrained(
                encoder,
                config=settings,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            words = CLIPTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
        except PipelineError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, ArithmeticError) as error:
            raise PipelineError(f"{encoder} could not be loaded as CLIP's text encoder: {error}") from error
        check_report(report, encoder)
        if len(words) > network.config.vocab_size:
            raise PipelineError(f"{tokenizer} knows {len(words)} tokens, the text encoder {network.config.vocab_size}")
        return cls(aligned(network.float()).eval().requires_grad_(False), words)

    def to(self, device: torch.device | str) -> None:
        """Move it to a device."""
        self.network.to(device)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """float32 [b, tokens, width] on the CPU; longer prompts are cut, as diffusers' pipelines cut them.

        One by one: the last bits of a product depend on how many rows it has, and a prompt must be told the same in
        whatever company it comes.
        """
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=min(self._tokenizer.model_max_length, self.network.config.max_position_embeddings),
            truncation=True,
            return_tensors="pt",
        ).input_ids
        rows = [self.network(row[None].to(self.network.device))[0] for row in tokens]
        return torch.cat(rows).float().cpu()
