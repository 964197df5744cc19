"""Parts of pipelines that people give: found by path or hub id, looked at before anything is allocated, read as safetensors.

Both diffusers and transformers make a network from a config and then fill it. Here the config is first built without memory
(torch's "meta" device) and held against the headers of the weights, so that a broken or hostile folder is a sentence and not
an exhausted memory. Classes are named by us, never by the folder, and nothing that is read is executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from infra.digest import sha256_of_large_file
from tasks.model.network_config import MAXIMUM_PARAMETERS
from tasks.model.threads import aligned

# What libraries read of a part, by its name, beside weights; whatever else lies there is not looked at.
_TOKENIZER = [
    *("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json"),
]
_READ = {"tokenizer": _TOKENIZER, "scheduler": ["scheduler_config.json"]}
_NETWORK = ["config.json"]
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")  # of diffusers, of transformers
_OLDER = (".query", ".key", ".value", ".proj_attn")  # diffusers' first names of an autoencoder's attention
MAXIMUM_REPEATS = 100  # of a layer, and of entries in a list of a config: each costs memory even on the meta device
N = TypeVar("N", bound=nn.Module)


class PipelineError(ValueError):
    """A given pipeline or part of one cannot be used; the message says why and what to do."""


def digests_of_folder(folder: Path, parts: Mapping[str, bool] | None = None) -> dict[str, str]:
    """sha256 of everything that is read of a folder, by relative name.

    Args:
        parts: of a pipeline, True where weights must be in it; one that has no sub-folder is looked for in the folder
            itself, as older pipelines have it. None: the folder is a single network.

    Raises:
        PipelineError: if weights that must be there are not.
    """
    if parts is None:
        return _digests(folder, [folder / "config.json", *weights_of(folder)])
    found = _digests(folder, [folder / "model_index.json"])
    for part, weighty in parts.items():
        place = folder / part if (folder / part).is_dir() else folder
        weights = [] if part in _READ else weights_of(place)
        if weighty and (place == folder or not weights):
            raise PipelineError(f"'{folder}' holds no safetensors weights in {part}/")
        found |= _digests(folder, [*(place / name for name in _READ.get(part, _NETWORK)), *weights])
    return dict(sorted(found.items()))


def weights_of(folder: Path) -> list[Path]:
    """The safetensors files of a folder that diffusers or transformers load, with the index of those in several parts; none
    of another precision that lie beside them.

    Raises:
        PipelineError: if an index names weights that are not in its folder.
    """
    there = {path.name: path for path in folder.glob("*.safetensors")}
    found = []
    for single in _WEIGHTS:
        index = folder / f"{single}.index.json"
        if index.is_file():
            files = read_json(index).get("weight_map")
            if not isinstance(files, dict) or not {str(name) for name in files.values()} <= there.keys():
                raise PipelineError(f"{index} names weights that are not in its folder")
            found += [index, *(there[name] for name in sorted(set(files.values())))]
        if single in there:  # beside an index the libraries differ in which they take
            found.append(there[single])
    return found


def _digests(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    found = {}
    for path in sorted(files):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = sha256_of_large_file(path)
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a part. Raises PipelineError if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PipelineError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise PipelineError(f"{path} holds no JSON object")
    return found


def check_extent(config: Mapping[str, Any], folder: Path) -> None:
    """That making what a config describes costs little even before it has any numbers, and takes no other road than ours.

    Raises:
        PipelineError: naming the entry that asks for too many layers, or for quantised weights.
    """
    for name, value in config.items():
        numbers = _flat(value) if isinstance(value, list) else [value]
        many = "layers" in name and any(isinstance(n, int) and n > MAXIMUM_REPEATS for n in numbers)
        if many or (isinstance(value, list) and len(numbers) > MAXIMUM_REPEATS):
            raise PipelineError(f"{folder}: {name} asks for more than {MAXIMUM_REPEATS} layers or entries")
    if config.get("quantization_config") is not None:
        raise PipelineError(f"{folder} holds quantised weights; save it in float32, bfloat16 or float16")


def _flat(value: Any) -> list[Any]:
    return [inner for entry in value for inner in _flat(entry)] if isinstance(value, list) else [value]


def check_weights(network: nn.Module, folder: Path, *, prefix: str = "", unused: tuple[str, ...] = ()) -> None:
    """That the safetensors files of a folder hold just the numbers of a network made on the meta device.

    Args:
        prefix: that names may have in the file. unused: names that may be there beside them.

    Raises:
        PipelineError: naming the first tensor that is missing, strange or of another shape; or if there are too many.
    """
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MAXIMUM_PARAMETERS:
        raise PipelineError(f"{folder} describes {count:,} parameters; {MAXIMUM_PARAMETERS:,} are supported")
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        for path in weights_of(folder):
            if path.suffix != ".safetensors":
                continue
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - it is no mapping
                    shapes[name.removeprefix(prefix)] = tuple(file.get_slice(name).get_shape())
    except (OSError, SafetensorError) as error:
        raise PipelineError(f"{folder} holds weights that cannot be read: {error}") from error
    if not shapes:
        raise PipelineError(f"{folder} holds no safetensors weights")
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name in sorted((wanted.keys() | shapes.keys()) - set(unused)):
        if wanted.get(name) != shapes.get(name):
            raise PipelineError(
                f"{folder}: weights and config differ in '{name}': {shapes.get(name)} where the config asks for "
                f"{wanted.get(name)}{_how_to_renew(network, folder, shapes.keys() - wanted.keys())}"
            )


def _how_to_renew(network: nn.Module, folder: Path, strange: Iterable[str]) -> str:
    """What to do about the names that diffusers gave an autoencoder's attention in its first versions, if it is that."""
    if not any(name.rpartition(".")[0].endswith(_OLDER) for name in strange):
        return ""
    kind = type(network).__name__
    return (
        "; these are names of an older diffusers: load it once with diffusers and save it again: "
        f'from diffusers import {kind}; {kind}.from_pretrained("{folder}").save_pretrained("NEW_FOLDER")'
    )


def check_report(report: Mapping[str, Any], folder: Path) -> None:
    """That a library which filled a network left no number as it was drawn at random. Raises PipelineError if it did."""
    wrong = sorted(map(str, report["missing_keys"]))
    if wrong:
        raise PipelineError(
            f"{folder}: the weights that are read lack '{wrong[0]}'; keep those of one model in a folder"
        )


def load_diffusers_part(kind: type[N], folder: Path) -> N:
    """A diffusers model of the class `kind` from a folder of config.json and safetensors; frozen, in float32, its dropout
    switched off (see `NetworkConfig`).

    Raises:
        PipelineError: if it is not one.
    """
    config = read_json(folder / "config.json")
    if config.get("_class_name", kind.__name__) != kind.__name__:
        raise PipelineError(f"{folder} holds a {config['_class_name']}, not a {kind.__name__}")
    check_extent(config, folder)
    fixed = {"dropout": 0.0} if "dropout" in config else {}
    try:
        with torch.device("meta"):
            bones = kind.from_config({k: v for k, v in config.items() if k != "_name_or_path"})  # type: ignore[attr-defined]
        check_weights(bones, folder)
        network, report = kind.from_pretrained(  # type: ignore[attr-defined]
            folder, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True, **fixed
        )
    except PipelineError:
        raise
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ArithmeticError) as error:
        raise PipelineError(f"{folder} could not be loaded as a {kind.__name__}: {error}") from error
    check_report(report, folder)
    return aligned(network.float()).eval().requires_grad_(False)
