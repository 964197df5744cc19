"""Pipelines as standard `diffusers` folders: read from a path or hub id, written so that plain diffusers loads them."""

from __future__ import annotations

from pathlib import Path

from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from infra.digest import sha256


class PipelineError(ValueError):
    """A given pipeline cannot serve as the reference; the message says why and what to do."""


def load_pipeline(name_or_path: str, resolution: int) -> tuple[UNet2DModel, DDPMScheduler]:
    """The network and noise schedule of a DDPM pipeline.

    Only safetensors are read: a pickled checkpoint could execute anything.

    Raises:
        PipelineError: if it is not there, not a DDPM of RGB images at this resolution, or does not predict noise.
    """
    try:
        pipeline = DDPMPipeline.from_pretrained(name_or_path, use_safetensors=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"model.pretrained '{name_or_path}' could not be loaded as a DDPMPipeline with safetensors weights: {error}"
        ) from error
    unet, scheduler = pipeline.unet, pipeline.scheduler
    if not isinstance(unet, UNet2DModel):
        raise PipelineError(f"model.pretrained '{name_or_path}' has a {type(unet).__name__}, not a UNet2DModel")
    side = unet.config["sample_size"]
    if side != resolution or unet.config["in_channels"] != 3:
        raise PipelineError(
            f"model.pretrained '{name_or_path}' makes {side} x {side} images of {unet.config['in_channels']} channels; "
            f"the study asks for RGB at {resolution}: set model.resolution to {side}"
        )
    schedule = DDPMScheduler.from_config(scheduler.config)
    if schedule.config["prediction_type"] != "epsilon":
        raise PipelineError(
            f"model.pretrained '{name_or_path}' predicts {schedule.config['prediction_type']}; only epsilon is supported"
        )
    return unet, schedule


def save_pipeline(unet: UNet2DModel, schedule: DDPMScheduler, folder: Path) -> None:
    """Write a `DDPMPipeline` folder with safetensors weights."""
    DDPMPipeline(unet=unet.cpu(), scheduler=schedule).save_pretrained(folder, safe_serialization=True)


def pipeline_digests(name_or_path: str) -> dict[str, str]:
    """sha256 of every weights and config file of a given pipeline, by relative name: its identity in a recipe.

    Raises:
        PipelineError: if it cannot be found.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        try:
            folder = Path(DDPMPipeline.download(name_or_path, use_safetensors=True))
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"model.pretrained '{name_or_path}' is neither a folder nor on the hub: {error}"
            ) from error
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".safetensors", ".json"} and p.is_file())
    if not any(p.suffix == ".safetensors" for p in files):
        raise PipelineError(f"model.pretrained '{name_or_path}' holds no safetensors weights")
    return {p.relative_to(folder).as_posix(): sha256(p.read_bytes()) for p in files}
