"""Where the weights of properties come from: a folder or file of this machine, or a Hugging Face hub.

Of a model only three kinds of file are read: config.json, the image processor's settings, and safetensors. Pickled weights
are never opened, whatever else a folder or a repository holds, and no code that comes with a model is run. What a set of
files is, is said by its digest; where it lay is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from infra.digest import sha256, sha256_of_large_file

# name, or owner/name, and perhaps a revision: a branch, a tag or a commit.
HUB_ID = re.compile(r"(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")
HUB_FILE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)/(?P<file>[\w.-]+(/[\w.-]+)*)(@(?P<revision>[\w./-]+))?")
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_READ = ["config.json", *PROCESSORS, SINGLE, INDEX, "model-*.safetensors"]
_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")
_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_LARGEST_JSON = 16 * 1024 * 1024


class ModelFiles(NamedTuple):
    """A `transformers` model as files. `config` and `processor` are small JSON; `weights` are one or more safetensors."""

    config: Path
    processor: Path
    weights: tuple[Path, ...]

    def digest(self) -> str:
        """sha256 of the lines `<sha256>  <name>` of all files, sorted by name, as the tool sha256sum prints them."""
        files = sorted((self.config, self.processor, *self.weights), key=lambda path: path.name)
        lines = "".join(f"{sha256_of_large_file(path)}  {path.name}\n" for path in files)
        return sha256(lines.encode())


def model_files(setting: str, place: str, otherwise: str) -> ModelFiles:
    """The files of a `transformers` model in a folder or on the hub (fetched into the hub's cache where it is not there).

    Args:
        setting: the field of the study that names it, for messages.
        place: a folder; or the hub's owner/name, where owner/name@revision holds it to one version.
        otherwise: what can be done without it, for messages.

    Raises:
        ValueError: if it is nowhere, or lacks a config, an image processor or safetensors weights.
    """
    called = f"{setting} {place!r}"
    if Path(place).is_dir():
        return _files_in(Path(place).resolve(), called)
    match = HUB_ID.fullmatch(place)
    if match is None:
        raise ValueError(f"{called}: there is no such folder, and it is no hub id such as owner/name; {otherwise}")
    try:
        return _model_from_hub(match["repository"], match["revision"], called)
    except OSError as error:
        raise ValueError(
            f"{called}: there is no such folder, and the hub gives nothing of that name ({_first_line(error)}). Where there "
            f"is a network, `hf download {match['repository']} --include '*.json' --include '*.safetensors' --local-dir "
            f"FOLDER` fetches it; set {setting} to the folder, or {otherwise}"
        ) from error


def safetensors_file(setting: str, place: str, otherwise: str, convert: str) -> Path:
    """One safetensors file of this machine, or of a hub's repository as owner/name/file.safetensors.

    Raises:
        ValueError: if it is nowhere, or is a pickled file; `convert` says how to make a safetensors file of one.
    """
    if place.lower().endswith(_PICKLED):
        raise ValueError(
            f"{setting} {place!r}: pickled files can run programs and are never read; convert it once: {convert}"
        )
    if Path(place).is_file():
        return Path(place).resolve()
    match = HUB_FILE.fullmatch(place)
    if match is None or place.startswith("."):
        raise ValueError(f"{setting}: there is no file {place!r}; {otherwise}")
    try:
        return _file_from_hub(match["repository"], match["file"], match["revision"])
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{setting} {place!r}: there is no such file, and the hub gives nothing of that name ({_first_line(error)}); "
            f"{otherwise}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file of reasonable size, or a ValueError that names the file."""
    if path.stat().st_size > _LARGEST_JSON:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, which no settings file has")
    try:
        content = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return content


def _files_in(folder: Path, called: str) -> ModelFiles:
    config = folder / "config.json"
    if not config.is_file():
        raise ValueError(f"{called} has no config.json: it is not the folder of a transformers model")
    processor = next((folder / name for name in PROCESSORS if (folder / name).is_file()), None)
    if processor is None:
        raise ValueError(
            f"{called} has no {PROCESSORS[0]}, which says to what size and scale its images are brought: save the model's "
            "image processor beside it"
        )
    if (folder / SINGLE).is_file():
        return ModelFiles(config, processor, (folder / SINGLE,))
    if not (folder / INDEX).is_file():
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
        raise ValueError(
            f"{called} has no {SINGLE}"
            + (f", only {', '.join(pickled)}: pickled files can run programs and are never read" if pickled else "")
            + ". Load it with transformers where you trust it, and write it anew with save_pretrained"
        )
    parts = read_json(folder / INDEX).get("weight_map")
    names = sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else []
    wrong = [name for name in names if not _SHARD.fullmatch(name) or not (folder / name).is_file()]
    if wrong or not names:
        raise ValueError(f"{called}: {INDEX} names {wrong[0] if wrong else 'no files'}, which is not there")
    return ModelFiles(config, processor, tuple(folder / name for name in names))


@lru_cache(maxsize=16)
def _model_from_hub(repository: str, revision: str | None, called: str) -> ModelFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    # What was fetched once is used again without asking: all evaluations of a study see the same version, and the hub is
    # not asked by each of them.
    for cached in (True, False):
        try:
            folder = snapshot_download(repository, revision=revision, allow_patterns=_READ, local_files_only=cached)
            return _files_in(Path(folder), called)
        except HFValidationError as error:
            raise FileNotFoundError(str(error)) from error
        except (OSError, ValueError):
            if not cached:
                raise
    raise AssertionError("unreachable")


@lru_cache(maxsize=16)
def _file_from_hub(repository: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file, revision=revision, local_files_only=True))
    except OSError:
        return Path(hf_hub_download(repository, file, revision=revision))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
