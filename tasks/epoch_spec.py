"""The section of a study that says when what everything rests on is made anew."""

from __future__ import annotations

from pydantic import Field

from tasks.section import Section


class EpochSpec(Section):
    """When a new epoch opens: reference and pruned model, held-out set and reference statistics made anew, from all images
    there are then. In between they stay as they are, so that evaluations stay comparable and are used again.

    Nothing here enters a digest.
    """

    drift: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="A new epoch opens when more than this part of the training images has come, gone or changed hands "
        "since the last one. 0: with every change. 1: never for this reason.",
    )
    maximum_days: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="A new epoch opens when the last one is older than so many days and the images have changed since. "
        "Empty: never for this reason.",
    )
    increment: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="reattribute, inside an epoch: new evaluations that a change may cost, as a part of estimation.budget. "
        "They are chosen for what the ledger lacks; the audit's repeats come on top.",
    )
