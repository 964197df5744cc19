"""Small models of `transformers`' own classes with random weights, saved as the large ones are."""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

HALF = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {**HALF, "vocab_size": 99, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
TEXT |= {"encoder_hidden_size": 32, "sep_token_id": 2, "pad_token_id": 0}
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]

KINDS = {
    "clip": lambda: transformers.CLIPModel(
        transformers.CLIPConfig(vision_config=HALF, text_config=TEXT, projection_dim=24)
    ),
    "clip_vision": lambda: transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(**HALF, projection_dim=20)
    ),
    "clip_unprojected": lambda: transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**HALF)),
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**HALF)),
    "vit_classifier": lambda: transformers.ViTForImageClassification(transformers.ViTConfig(**HALF)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**HALF, mlp_ratio=2)),
    "resnet": lambda: transformers.ResNetForImageClassification(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ),
    "siglip": lambda: transformers.SiglipModel(transformers.SiglipConfig(vision_config=HALF, text_config=TEXT)),
    "blip_vqa": lambda: transformers.BlipForQuestionAnswering(
        transformers.BlipConfig(vision_config=HALF, text_config=TEXT)
    ),
    "vit_mae": lambda: transformers.ViTMAEModel(transformers.ViTMAEConfig(**HALF)),
    "bert": lambda: transformers.BertModel(
        transformers.BertConfig(**{key: TEXT[key] for key in TEXT if not key.startswith("encoder")})
    ),
}


def save_model(kind: str, folder: Path, seed: int = 0) -> Path:
    """A model of this kind as `save_pretrained` writes it, with an image processor of 32 x 32 beside it."""
    torch.manual_seed(seed)
    model = KINDS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():  # initial weights are so small that all images look alike
            parameter.normal_(0, 0.2)
    model.save_pretrained(folder)
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_mean=MEAN, image_std=STD
    )
    processor.save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def save_head(path: Path, dimension: int, seed: int = 0) -> Path:
    """A linear head in the format of `aesthetic_score`."""
    generator = torch.Generator().manual_seed(seed)
    save_file({"weight": torch.randn(1, dimension, generator=generator), "bias": torch.tensor([5.0])}, path)
    return path
