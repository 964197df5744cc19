"""Any vision model of `transformers` as a feature network: CLIP, ViT, DINOv2, ResNet, SigLIP, BLIP's vision half, …

    place --model_files--> config, processor, safetensors --vision_network--> VisionModel (a small value)
                                    |                            '-- checked on the meta device: no memory, no weights
                                    '--------- when first needed --> the network itself, once a process

A description of a network comes from people, so it is checked before it costs anything: its parameters are counted on
torch's meta device, names and shapes are compared with the headers of the weights, and one forward pass without numbers
shows what comes out. So a model that does not fit is a sentence before a study is trained, not a crash in its scoring.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from tasks.properties.networks import FeatureNetwork, efficientnet_lite
from tasks.properties.preprocessing import Preprocessing, preprocessing_of
from tasks.properties.weights_files import ModelFiles, listed, model_files, read_json
from tasks.study import PropertiesSpec

MAXIMUM_PARAMETERS = 4_000_000_000
MAXIMUM_LAYERS = 1000
PROJECTED: Literal["projected image embedding"] = "projected image embedding"
POOLED: Literal["pooled output"] = "pooled output"
MEAN: Literal["mean of the last hidden states"] = "mean of the last hidden states"
OFFLINE = "leave properties.vision_model empty for the EfficientNet-Lite that needs no download"

# Said by a config, but not of the network's mathematics: where code or other kernels are, what a call returns.
_NOT_OURS = {
    "auto_map",
    "attn_implementation",
    "dtype",
    "torch_dtype",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "torchscript",
}
_TOWER = "vision_model."


@dataclass(frozen=True)
class VisionModel(FeatureNetwork):
    """A vision model of `transformers`. `digest` is that of `ModelFiles`, wherever the files are.

    name          the config's model_type
    features      which of the model's outputs the embedding is
    dimension     d of the embedding [n, d]

    It has no classes: `probabilities` of its features are float32 [n, 0].
    """

    preprocessing: Preprocessing
    features: Literal["projected image embedding", "pooled output", "mean of the last hidden states"]
    dimension: int
    files: ModelFiles = field(compare=False)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "network": self.name,
            "network_sha256": self.digest,
            "features": self.features,
            "preprocessing": self.preprocessing.options,
        }

    def _forward(self, images: np.ndarray, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        network = _load(self.files, self.digest, device)
        x = torch.from_numpy(images.copy()).to(device).permute(0, 3, 1, 2).float()  # [b, 3, h, w]
        embedding = _embedding(network(pixel_values=self.preprocessing(x)), self.features)
        return embedding, embedding.new_zeros(len(images), 0)


def feature_network(spec: PropertiesSpec) -> FeatureNetwork:
    """The network whose features a study's properties use: its `vision_model`, or the one that comes in a package.

    Raises ValueError when the vision model cannot be had, ImportError when the package is missing.
    """
    if spec.vision_model is None:
        return efficientnet_lite(spec.feature_size)
    return vision_network("properties.vision_model", spec.vision_model, OFFLINE)


def vision_network(setting: str, place: str, otherwise: str) -> VisionModel:
    """The vision model in a folder or on the hub, checked; its weights are not read yet.

    Args:
        setting: the field of the study that names it, for messages.
        place: a folder, owner/name, or owner/name@revision.
        otherwise: what can be done without it, for messages.

    Raises:
        ValueError: if it cannot be had, is no vision model that is supported, or its weights do not fit its config.
    """
    files = model_files(setting, place, otherwise)
    try:
        return _checked(files, files.digest())
    except ValueError as error:
        raise ValueError(f"{setting} {place!r}: {error}") from error


@lru_cache(maxsize=4)
def _checked(files: ModelFiles, digest: str) -> VisionModel:
    described = _describe(files, digest)
    settings = preprocessing_of(read_json(files.processor))
    features, dimension = _outputs(described, settings)
    return VisionModel(described.kind, digest, settings, features, dimension, files)


class _Described(NamedTuple):
    """What a folder's config and the headers of its weights say, without a single weight."""

    kind: str  # model_type
    class_name: str  # in transformers
    config: Any
    empty: Any  # the module, on the meta device
    lacks_pooler: bool
    strip: bool  # the weights are those of a model with a text half too, under names that the vision half has not


@lru_cache(maxsize=4)
def _describe(files: ModelFiles, digest: str) -> _Described:
    headers = _headers(files)
    kind, class_name, config = _class_and_config(read_json(files.config), headers)
    _count_parameters(class_name, config)
    # Names as they are; where they do not fit, without the name of the vision half.
    tries = (False, True) if any(name.startswith(_TOWER) for name in headers) else (False,)
    lacking: list[str] = []
    for strip in tries:
        empty, report = _from_weights(class_name, config, _named(headers, strip), device_map="meta")
        lacking = sorted(report["missing_keys"])
        if all(name.startswith("pooler.") for name in lacking):
            break
    else:
        raise ValueError(f"its weights lack {listed(lacking)}, which {class_name} needs")
    wrong = sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"])
    if wrong:
        raise ValueError(f"its weights do not have the shapes that its config.json says, such as {listed(wrong)}")
    return _Described(kind, class_name, config, empty, bool(lacking), strip)


def _class_and_config(content: Mapping[str, Any], headers: Mapping[str, torch.Tensor]) -> tuple[str, str, Any]:
    """The model_type, the name of `transformers`' own class for the vision half, and that half's config."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = content.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ValueError(
            f"its config.json says model_type {kind!r}, which transformers {transformers.__version__} has not"
        )
    _check_depth(content)
    try:
        config = CONFIG_MAPPING[kind].from_dict(_ours(content))
    except Exception as error:  # each of some hundred config classes has its own checks and errors
        raise ValueError(f"its config.json is not a {kind}: {type(error).__name__}: {error}") from error
    half = getattr(config, "vision_config", None)
    if kind in ("clip", "clip_vision_model") and "visual_projection.weight" in headers:
        if half is not None:
            half.projection_dim = config.projection_dim  # CLIPModel projects to its own, not to its vision half's
        return kind, "CLIPVisionModelWithProjection", half or config
    config = half or config
    class_name = type(config).__name__.removesuffix("Config") + "Model"
    model = getattr(transformers, class_name, None)
    if model is None or getattr(model, "main_input_name", None) != "pixel_values":
        raise ValueError(f"a {kind} is no vision model: it must take images (pixel_values) and give features of them")
    if getattr(config, "mask_ratio", 0):
        raise ValueError(f"a {kind} hides parts of an image at random, so its features are not the same twice")
    return kind, class_name, config


def _ours(value: Any) -> Any:
    """A config without what could name code, kernels or another place, and without what changes only the calling."""
    if isinstance(value, list):
        return [_ours(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("quantization_config") is not None:
        raise ValueError("its weights are quantised (quantization_config); give the model in float32 or float16")
    return {k: _ours(v) for k, v in value.items() if not k.startswith("_") and k not in _NOT_OURS}


def _check_depth(content: Mapping[str, Any]) -> None:
    """A module takes time to make even where it takes no memory, so layers are bounded before they are made."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            _check_depth(value)
        elif "layers" in name or "depth" in name or "blocks" in name:
            numbers = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int)]
            if sum(numbers) > MAXIMUM_LAYERS:
                raise ValueError(f"its config.json says {name} {value!r}; {MAXIMUM_LAYERS} layers are the most")


def _count_parameters(class_name: str, config: Any) -> None:
    import transformers

    try:
        with torch.device("meta"):
            count = sum(p.numel() for p in getattr(transformers, class_name)(config).parameters())
    except Exception as error:  # whatever a module makes of a config that contradicts itself
        raise ValueError(f"no {class_name} can be made of its config.json: {type(error).__name__}: {error}") from error
    if count > MAXIMUM_PARAMETERS:
        raise ValueError(f"it has {count:,} parameters; {MAXIMUM_PARAMETERS:,} are the most")


def _outputs(described: _Described, settings: Preprocessing) -> tuple[Any, int]:
    """Which output becomes the embedding, and its dimension: a forward pass of one image without numbers."""
    x = torch.empty(1, 3, *settings.output_size(256, 256), device="meta")
    try:
        with torch.inference_mode():
            output = described.empty.eval()(pixel_values=x)
            if getattr(output, "image_embeds", None) is not None:
                features: str = PROJECTED
            elif getattr(output, "pooler_output", None) is not None and not described.lacks_pooler:
                features = POOLED
            else:
                features = MEAN
            embedding = _embedding(output, features)
    except Exception as error:  # whatever a network makes of an image that it was not made for
        raise ValueError(
            f"{described.class_name} does not take images of {x.shape[2]} x {x.shape[3]} pixels, which its image processor "
            f"makes: {type(error).__name__}: {error}"
        ) from error
    return features, embedding.shape[1]


def _embedding(output: Any, features: str) -> torch.Tensor:
    """[b, d] of a model's output: hidden states are [b, tokens, d] or [b, d, h, w], pooled ones [b, d] or [b, d, 1, 1]."""
    if features == PROJECTED:
        return output.image_embeds
    if features == POOLED:
        return output.pooler_output.flatten(1)
    hidden = output.last_hidden_state
    return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.mean(dim=(2, 3))


@lru_cache(maxsize=2)
def _load(files: ModelFiles, digest: str, device: str) -> Any:
    from safetensors.torch import load_file

    described = _describe(files, digest)
    weights: dict[str, torch.Tensor] = {}
    for path in files.weights:
        weights.update(load_file(path))
    network, _ = _from_weights(described.class_name, described.config, _named(weights, described.strip))
    return network.eval().requires_grad_(False).float().to(device)


def _from_weights(
    class_name: str, config: Any, weights: dict[str, torch.Tensor], **where: Any
) -> tuple[Any, dict[str, Any]]:
    """`transformers`' own loading, which knows the names of older versions, but of weights that are already here.

    Given no folder it can find no adapter, kernel or pickled file there. Attention is the plain one: the others round
    differently from card to card.
    """
    import transformers

    with _quiet():
        return getattr(transformers, class_name).from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, and refused by `_describe` with names
            **where,
        )


def _headers(files: ModelFiles) -> dict[str, torch.Tensor]:
    """Names and shapes of all weights, as tensors without numbers."""
    found = {}
    for path in files.weights:
        try:
            with safe_open(path, framework="pt") as stream:
                for name in stream.keys():  # noqa: SIM118 - not a mapping
                    found[name] = torch.empty(stream.get_slice(name).get_shape(), device="meta")
        except SafetensorError as error:
            raise ValueError(f"{path.name} is not a whole safetensors file: {error}") from error
    return found


def _named(weights: Mapping[str, torch.Tensor], strip: bool) -> dict[str, torch.Tensor]:
    if not strip:
        return dict(weights)
    return {name.removeprefix(_TOWER): value for name, value in weights.items() if name.startswith(_TOWER)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bar and the table of weights left over: the text half of a CLIP is meant to be left over."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
