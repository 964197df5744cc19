"""The section of a study that says whose credit is checked by retraining."""

from __future__ import annotations

from pydantic import Field, field_validator

from tasks.section import Section


class AuditSpec(Section):
    """Whose credit is checked: coalitions are fine-tuned from a pruned model that has seen everybody's images, and an audit
    compares with the same coalitions trained from random weights.

    Nothing here enters a digest: it only decides which coalitions are asked for.
    """

    contributors: list[str] = Field(
        default=[],
        description="Contributors whose credit is checked by retraining coalitions with and without them from random "
        "weights; costs 2 × pairs long trainings each.",
    )
    pairs: int = Field(
        default=6,
        ge=2,
        le=64,
        description="Coalitions of the others, each trained without and with the contributor. With 2 there is a correction, "
        "but mostly no interval.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the draw of these coalitions.")

    @field_validator("contributors")
    @classmethod
    def _no_repeats(cls, contributors: list[str]) -> list[str]:
        if len(set(contributors)) != len(contributors):
            raise ValueError(f"audit.contributors holds repeats: {contributors}")
        return contributors
