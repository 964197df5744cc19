"""What a validation found, as plain data: the page is drawn from it, and the store keeps it as JSON.

Everything is of one study, in one epoch. Values are signed so that more is better.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from infra.ledger import Digest

RANDOM = "random"  # one draw is shown for what it is; what chance does is said by a thousand


class Found(BaseModel):
    """Base of all parts: immutable, nothing unknown, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Found):
    """A figure with its interval at 95 %; None with the reason where there is none. count: coalitions it was made of."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    reason: str = ""


class Way(Found):
    """One way of realising a coalition, held against the unpruned network retrained from scratch on the same coalitions.

    steps, ratio: of fine-tuning (or retraining) and pruning. study: whether it is the study's own way.
    seconds: of a coalition's training, median, on machines that may have done other things too.
    work: multiply-accumulates of a coalition's training, steps x images a batch x one forward pass of one image.
    ahead: Pearson within the one size less that of the study's own way, on the same coalitions; None for the study's own.
    pearson, spearman: within the one size. scale: how large differences are there, of those between retrained values, by
    least squares (None in validations before 30 November 2026). pearson_across, spearman_across: over all that were
    retrained.
    """

    mode: Literal["finetune", "retrain"]
    steps: int
    ratio: float
    study: bool
    seconds: float | None
    pearson: Estimate
    spearman: Estimate
    pearson_across: Estimate
    spearman_across: Estimate
    work: float | None = None
    ahead: Estimate | None = None
    scale: Estimate | None = None
    points: tuple[tuple[int, float, float], ...]  # (size of the coalition, value this way, value retrained)


class Repeat(Found):
    """The unpruned network retrained once more on the coalitions of one size, under another seed: other initial weights,
    batches and noise, in training and in sampling.

    pearson, spearman: of the two seeds' values with each other. noise: s.d. of one retrained value between seeds.
    own, lds: Pearson of the study's own way, and the linear datamodeling score of its credits, with the other seed's values,
    which share no random numbers with the study's. shared: Pearson of the study's own way with the first seed's values less
    that with the other's, on the same coalitions.
    """

    pearson: Estimate
    spearman: Estimate
    noise: float | None
    own: Estimate
    shared: Estimate
    lds: Estimate

    @property
    def ceiling(self) -> Estimate | None:
        """Pearson with retrained values that an estimate can expect which has no error of its own, and shares no random
        numbers with them: the square root of their agreement with each other (Spearman 1904, attenuation); None where they
        do not agree."""
        value, low, high = self.pearson.value, self.pearson.low, self.pearson.high
        if value is None or value <= 0:
            return None
        ends = [None if end is None else math.sqrt(max(0.0, end)) for end in (low, high)]
        return Estimate(value=math.sqrt(value), low=ends[0], high=ends[1], count=self.pearson.count)


class Method(Found):
    """One method of crediting.

    kind: ours, the paper's estimator, a baseline that evaluates nothing ("free"), or one that trains. lds: linear
    datamodeling score with the combined interval. ahead: LDS of ours less this one's, and probability_ours: that ours is the
    higher one. better_than_chance: its score is above what 95 % of random credits reach, and its interval
    above zero. removed, kept: by share, relative change of v when its top is removed, or kept
    alone; None where it was not retrained.
    """

    name: str
    kind: Literal["ours", "paper", "free", "trains"]
    credits: tuple[float, ...]  # in the order of the contributors
    lds: Estimate
    ahead: Estimate | None
    probability_ours: float | None
    better_than_chance: bool | None
    removed: dict[str, float | None] = {}
    kept: dict[str, float | None] = {}


class Against(Found):
    """A method against exact credits from all coalitions retrained. error: mean absolute error of excess credits over their
    s.d.; covered: share of contributors whose 90 % interval holds the exact one."""

    method: str
    pearson: Estimate
    spearman: Estimate
    error: float | None
    covered: float | None


class PropertyFound(Found):
    """All of one property. spread: s.d. of v between the retrained coalitions of one size; noise: s.d. of one evaluation of
    the study between seeds. chance_sd: of random credits' LDS, and chance: how far from
    zero 95 % of them lie (None in validations before 30 November 2026). repeat: None where nothing was retrained twice."""

    name: str
    unit: str
    spread: float
    noise: float | None
    chance_sd: float | None
    chance: float | None = None
    ways: tuple[Way, ...]
    methods: tuple[Method, ...]
    repeat: Repeat | None = None
    exact: tuple[Against, ...] | None = None
    exact_credits: tuple[float, ...] | None = None

    @property
    def own_way(self) -> Way:
        """How the study itself realises coalitions."""
        return next(way for way in self.ways if way.study)


class Validation(Found):
    """One validation of one study. recipe: digest of how the study makes and measures coalitions, whatever the images.
    estimation: digest of whose credits it judged, and how they were estimated. evaluations: that these credits rest on."""

    schema_version: Literal[1] = 1
    study: str
    run: str
    created: AwareDatetime
    recipe: Digest
    estimation: Digest
    epoch: int
    contributors: tuple[str, ...]
    one_size: int
    coalitions_of_one_size: int
    coalitions_across: int
    trained: int = Field(ge=0)  # evaluations made for it
    found: int = Field(ge=0)  # evaluations that the ledger had
    seconds: float
    retrain_steps: int
    evaluations: int = Field(ge=0)
    device: str
    shortfalls: tuple[str, ...] = ()  # what was asked for and does not exist, in words
    properties: tuple[PropertyFound, ...]
