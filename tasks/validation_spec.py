"""What the flow `validate` is asked to do: how much is retrained to prove that a study's credits are right."""

from __future__ import annotations

from pydantic import Field, model_validator

from tasks.section import Section


class ValidationSpec(Section):
    """Every coalition that is retrained costs as much as a whole training; the log says how many there are first."""

    one_size: int = Field(
        default=24, ge=4, le=1000, description="Coalitions of half the contributors that are retrained unpruned."
    )
    across_sizes: int = Field(default=8, ge=0, le=1000, description="Coalitions of other sizes retrained unpruned.")
    pruned: int = Field(
        default=8, ge=0, le=1000, description="Of those of one size, how many the pruned network is retrained on too."
    )
    repeated: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="Of those of one size, how many are retrained unpruned once more, under another seed: how far chance "
        "alone moves what is retrained.",
    )
    step_factors: list[float] = Field(
        default=[0.25, 0.5, 2.0], description="Fine-tuning also with these multiples of the study's steps."
    )
    ratios: list[float] = Field(default=[0.0, 0.3, 0.5], description="Fine-tuning also from models pruned so much.")
    counterfactuals: bool = Field(
        default=True, description="Retrain without the top, and with the top alone, of every method."
    )
    leave_one_out: bool = Field(
        default=True, description="Fine-tune without each contributor, one after another, for that method's credits."
    )
    paper: bool = Field(
        default=True, description="As many fine-tuned coalitions by the paper's own draw, for its own estimator."
    )
    gradients: bool = Field(
        default=True,
        description="TRAK, D-TRAK and gradient similarity too. Made on the machine of this flow, image by image; left out "
        "where that is more than a few million weights.",
    )
    projection: int = Field(
        default=1024, ge=64, le=65536, multiple_of=64, description="Dimension that gradients are projected to."
    )
    replicates: int = Field(
        default=200, ge=20, le=10000, description="Resamples of the study's evaluations, for the scores' intervals."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the choice of coalitions, and of all resampling.")

    @model_validator(mode="after")
    def _makes_sense(self) -> ValidationSpec:
        if any(not 0 < factor <= 100 for factor in self.step_factors):
            raise ValueError(f"validation.step_factors must lie between 0 and 100, not {self.step_factors}")
        if any(not 0 <= ratio < 1 for ratio in self.ratios):
            raise ValueError(f"validation.ratios must lie between 0 and 1, not {self.ratios}")
        return self
