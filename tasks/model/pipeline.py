"""Pipelines as standard `diffusers` folders: read from a path or hub id, written so that plain diffusers loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel

from tasks.model.network_config import checked_config, checked_schedule
from tasks.model.parts import PipelineError, digests_of_folder, read_json
from tasks.model.threads import aligned

__all__ = [
    "PipelineError",
    "load_pipeline",
    "load_unet",
    "pipeline_digests",
    "pipeline_folder",
    "plain_config",
    "save_pipeline",
]


def load_pipeline(name_or_path: str, resolution: int) -> tuple[UNet2DModel, DDPMScheduler]:
    """The network and noise schedule of a pipeline of pixels: an unconditional U-Net and a scheduler, such as a DDPM.

    Only safetensors are read, and only diffusers' own two classes are made, whatever the folder names: a pickled checkpoint
    or a component with its own code could execute anything. Dropout is switched off, see `NetworkConfig`.

    Raises:
        PipelineError: if it is not there, not a DDPM of RGB images at this resolution, or does not predict noise.
    """
    folder, name = pipeline_folder(name_or_path, DDPMPipeline), f"model.pretrained '{name_or_path}'"
    index = folder / "model_index.json"
    parts = {key for key in read_json(index) if not key.startswith("_")} if index.is_file() else set()
    if parts != {"unet", "scheduler"}:
        raise PipelineError(f"{name} is a pipeline of {sorted(parts)}; only one of scheduler and unet is supported")
    unet, schedule = load_unet(folder, name)
    if (channels := unet.config["in_channels"]) != 3:
        raise PipelineError(f"{name} makes images of {channels} channels; RGB has 3")
    side = unet.config["sample_size"]
    if side != resolution:
        raise PipelineError(
            f"{name} makes {side} x {side} images; the study asks for {resolution}: set model.resolution to {side}"
        )
    return unet, schedule


def load_unet(folder: Path, name: str, *, latents: bool = False) -> tuple[UNet2DModel, DDPMScheduler]:
    """Network and noise schedule of a pipeline's folder; `name` stands for it in messages. `latents`: see
    `checked_schedule`.

    Raises:
        PipelineError: as `load_pipeline`.
    """
    try:
        # Older pipelines on the hub keep both parts in the folder itself.
        unet_folder, schedule_folder = (folder / p if (folder / p).is_dir() else folder for p in ("unet", "scheduler"))
        config = UNet2DModel.load_config(unet_folder)
        kind = config.get("_class_name", "UNet2DModel")
        if kind != "UNet2DModel":
            raise PipelineError(f"{name} has a {kind}, not a UNet2DModel")
        checked_config({**config, "dropout": 0.0})
        noise = DDPMScheduler.load_config(schedule_folder)
        if "num_train_timesteps" not in noise:  # diffusers would take its own defaults for all that is not said
            raise PipelineError(f"{name} has a scheduler's config without num_train_timesteps: it is no noise schedule")
        schedule = checked_schedule(noise, latents=latents)
        unet, report = UNet2DModel.from_pretrained(
            unet_folder, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True, dropout=0.0
        )
    except PipelineError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise PipelineError(f"{name} could not be loaded as a pipeline with safetensors weights: {error}") from error
    wrong = [*report["missing_keys"], *report["unexpected_keys"]]
    if wrong:
        raise PipelineError(f"{name} has weights that do not fit its config, such as '{wrong[0]}'")
    return aligned(unet), schedule


def save_pipeline(unet: UNet2DModel, schedule: DDPMScheduler, folder: Path) -> None:
    """Write a `DDPMPipeline` folder with safetensors weights."""
    unet.register_to_config(_name_or_path="")  # where it was read from is this machine's business
    DDPMPipeline(unet=unet.cpu(), scheduler=schedule).save_pretrained(folder, safe_serialization=True)


def pipeline_digests(name_or_path: str, kind: type[DiffusionPipeline] = DDPMPipeline) -> dict[str, str]:
    """sha256 of every weights and config file of a given pipeline, by relative name: its identity in a recipe.

    Raises:
        PipelineError: if it cannot be found.
    """
    files = digests_of_folder(pipeline_folder(name_or_path, kind), {"unet": False, "scheduler": False})
    if not any(name.endswith(".safetensors") for name in files):
        raise PipelineError(f"model.pretrained '{name_or_path}' holds no safetensors weights")
    return files


def pipeline_folder(name_or_path: str, kind: type[DiffusionPipeline]) -> Path:
    """The folder itself, or the hub's pipeline brought into diffusers' cache.

    Raises:
        PipelineError: if it is neither.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    try:
        return Path(kind.download(name_or_path, use_safetensors=True))
    except (OSError, ValueError) as error:
        raise PipelineError(f"model.pretrained '{name_or_path}' is neither a folder nor on the hub: {error}") from error


def plain_config(schedule: DDPMScheduler) -> dict[str, Any]:
    """A noise schedule's settings as JSON."""
    return {k: v for k, v in schedule.config.items() if not k.startswith("_") and v is not None}
