"""Aesthetic quality: LAION's predictor, as the 90th percentile over the generated images (the paper's ArtBench case).

    a(x) = w . e(x) / |e(x)| + b          e: the projected image embedding of CLIP ViT-L/14; w [d], b: a linear head

The head is that of LAION's aesthetic-predictor (2022), trained on ratings of 1 to 10. Neither CLIP nor the head comes in a
package; both are named in the study, as a folder or file or on a hub. The 90th percentile is NumPy's, with linear
interpolation between the two nearest images.
"""

from __future__ import annotations

import os
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from infra.digest import sha256_of_large_file
from tasks.properties.networks import FeatureNetwork
from tasks.properties.registry import registered
from tasks.properties.types import Property, Samples, Statistics
from tasks.properties.vision import PROJECTED, vision_network
from tasks.properties.weights_files import safetensors_file
from tasks.study import PropertiesSpec

PERCENTILE = 90.0
LARGEST_HEAD = 65_536
CONVERT = "python -m tasks.properties.convert_head IN.pth OUT.safetensors"
OTHERWISE = "colourfulness is a measure of appeal that needs no weights"


@registered("aesthetic_score")
def aesthetic_score(spec: PropertiesSpec) -> Property:
    """The aesthetic score. Raises ValueError when CLIP or the head cannot be had, or do not fit together."""
    if spec.aesthetic_head is None:
        raise ValueError(
            "properties.aesthetic_head is empty: aesthetic_score needs the linear head, a safetensors file with weight "
            "[1, d] and bias [1]. LAION's is sa_0_4_vit_l_14_linear.pth of github.com/LAION-AI/aesthetic-predictor, "
            f"converted once: {CONVERT}; {OTHERWISE}"
        )
    head = str(safetensors_file("properties.aesthetic_head", spec.aesthetic_head, OTHERWISE, CONVERT))
    weight, _ = read_head(head)
    network = vision_network("properties.aesthetic_model", spec.aesthetic_model, OTHERWISE)
    if network.features != PROJECTED:
        raise ValueError(
            f"properties.aesthetic_model {spec.aesthetic_model!r} is a {network.name} without an image projection; the "
            "aesthetic score is defined on CLIP's projected embedding, such as openai/clip-vit-large-patch14"
        )
    if network.dimension != len(weight):
        raise ValueError(
            f"properties.aesthetic_head has {len(weight)} weights, properties.aesthetic_model {spec.aesthetic_model!r} "
            f"gives {network.dimension} features: they belong to different models"
        )
    per_image = partial(aesthetic_scores, network, head)
    return Property(
        name="aesthetic_score",
        needs="samples",
        sign=1,
        unit="LAION aesthetic score, about 1..10",
        description="90th percentile of the generated images' aesthetic score; more is more pleasing",
        version=1,
        options={
            **network.options,
            "head_sha256": sha256_of_large_file(Path(head)),
            "percentile": PERCENTILE,
            "percentile_method": "linear",
        },
        compute_score=partial(_score, network, head),
        minimum_images=1,
        per_image=per_image,
    )


def aesthetic_scores(network: FeatureNetwork, head: str, samples: Samples) -> np.ndarray:
    """float32 [n]: the aesthetic score of each image."""
    weight, bias = read_head(head)
    embedding = samples.features(network).embedding.astype(np.float64)  # [n, d]
    lengths = np.linalg.norm(embedding, axis=1)
    return (embedding @ weight / np.maximum(lengths, 1e-12) + bias).astype(np.float32)


def _score(network: FeatureNetwork, head: str, samples: Samples, statistics: Statistics) -> float:
    return float(np.percentile(aesthetic_scores(network, head, samples), PERCENTILE, method="linear"))


def read_head(path: str) -> tuple[np.ndarray, float]:
    """w float64 [d] and b of a linear head: the file holds `weight` [1, d] and `bias` [1], and nothing else.

    Raises ValueError when it does not.
    """
    stat = os.stat(path)
    return _read_head_at(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_head_at(path: str, size: int, modified: int) -> tuple[np.ndarray, float]:
    name = f"properties.aesthetic_head {Path(path).name!r}"
    try:
        with safe_open(path, framework="pt") as stream:
            shapes = {key: stream.get_slice(key).get_shape() for key in stream.keys()}  # noqa: SIM118 - not a mapping
            check_head(shapes, name)
            weight, bias = (stream.get_tensor(key).to(torch.float64) for key in ("weight", "bias"))
    except SafetensorError as error:
        raise ValueError(
            f"{name} is not a safetensors file ({error}); of a .pth file one is made by: {CONVERT}"
        ) from error
    if not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
        raise ValueError(f"{name} holds numbers that are not finite")
    return weight[0].numpy(), float(bias[0])


def check_head(shapes: dict[str, list[int]], name: str) -> None:
    """ValueError unless these are the tensors of a linear head, {"weight": [1, d], "bias": [1]}."""
    weight = shapes.get("weight", [])
    fits = len(weight) == 2 and weight[0] == 1 and 1 <= weight[1] <= LARGEST_HEAD and shapes.get("bias") == [1]
    if set(shapes) != {"weight", "bias"} or not fits:
        raise ValueError(
            f"{name} must hold weight [1, d] and bias [1] of a linear head and nothing else, it holds {shapes}"
        )
