"""Pipelines as standard `diffusers` folders: read from a path or hub id, written so that plain diffusers loads them."""

from __future__ import annotations

import json
from pathlib import Path

from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from infra.digest import sha256
from tasks.model.network_config import checked_config, checked_schedule


class PipelineError(ValueError):
    """A given pipeline cannot serve as the reference; the message says why and what to do."""


def load_pipeline(name_or_path: str, resolution: int) -> tuple[UNet2DModel, DDPMScheduler]:
    """The network and noise schedule of a pipeline of pixels: an unconditional U-Net and a scheduler, such as a DDPM.

    Only safetensors are read, and only diffusers' own two classes are made, whatever the folder names: a pickled checkpoint
    or a component with its own code could execute anything. Dropout is switched off, see `NetworkConfig`.

    Raises:
        PipelineError: if it is not there, not a DDPM of RGB images at this resolution, or does not predict noise.
    """
    folder, name = _folder(name_or_path), f"model.pretrained '{name_or_path}'"
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        parts = {key for key in index if not key.startswith("_")} if isinstance(index, dict) else {"?"}
        if parts != {"unet", "scheduler"}:
            raise PipelineError(f"{name} is a pipeline of {sorted(parts)}; only one of scheduler and unet is supported")
        # Older pipelines on the hub keep both parts in the folder itself.
        unet_folder, schedule_folder = (folder / p if (folder / p).is_dir() else folder for p in ("unet", "scheduler"))
        config = UNet2DModel.load_config(unet_folder)
        kind = config.get("_class_name", "UNet2DModel")
        if kind != "UNet2DModel":
            raise PipelineError(f"{name} has a {kind}, not a UNet2DModel")
        arguments = checked_config({**config, "dropout": 0.0})
        side = arguments["sample_size"]
        if side != resolution:
            raise PipelineError(
                f"{name} makes {side} x {side} images; the study asks for {resolution}: set model.resolution to {side}"
            )
        schedule = checked_schedule(DDPMScheduler.load_config(schedule_folder))
        unet, report = UNet2DModel.from_pretrained(
            unet_folder, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True, dropout=0.0
        )
    except PipelineError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise PipelineError(
            f"{name} could not be loaded as a DDPM pipeline with safetensors weights: {error}"
        ) from error
    wrong = [*report["missing_keys"], *report["unexpected_keys"]]
    if wrong:
        raise PipelineError(f"{name} has weights that do not fit its config, such as '{wrong[0]}'")
    return unet, schedule


def save_pipeline(unet: UNet2DModel, schedule: DDPMScheduler, folder: Path) -> None:
    """Write a `DDPMPipeline` folder with safetensors weights."""
    unet.register_to_config(_name_or_path="")  # where it was read from is this machine's business
    DDPMPipeline(unet=unet.cpu(), scheduler=schedule).save_pretrained(folder, safe_serialization=True)


def pipeline_digests(name_or_path: str) -> dict[str, str]:
    """sha256 of every weights and config file of a given pipeline, by relative name: its identity in a recipe.

    Raises:
        PipelineError: if it cannot be found.
    """
    folder = _folder(name_or_path)
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".safetensors", ".json"} and p.is_file())
    if not any(p.suffix == ".safetensors" for p in files):
        raise PipelineError(f"model.pretrained '{name_or_path}' holds no safetensors weights")
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()) for p in files}


def _folder(name_or_path: str) -> Path:
    """The folder itself, or the hub's pipeline brought into diffusers' cache."""
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    try:
        return Path(DDPMPipeline.download(name_or_path, use_safetensors=True))
    except (OSError, ValueError) as error:
        raise PipelineError(f"model.pretrained '{name_or_path}' is neither a folder nor on the hub: {error}") from error
