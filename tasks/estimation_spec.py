"""The section of a study that says how many coalitions are evaluated, which, until when, and what is made of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tasks.estimator_facts import ESTIMATOR_FACTS, EstimatorName
from tasks.section import Section


class EstimationSpec(Section):
    """How credits are estimated from evaluations, and when there are enough of them.

    Nothing here enters a digest: whatever is changed, what the ledger holds stays usable.
    """

    budget: int = Field(
        default=80,
        ge=4,
        description="The most evaluations a study asks for, cached or not, the empty and the grand coalition included; the "
        "audit's repeats come on top. default and kernelshap: reused evaluations come on top too, for nothing. "
        "a_optimal: reused evaluations of today's contributors count; who is new is still shown in an eighth of it.",
    )
    design: Literal["default", "kernelshap", "a_optimal"] = Field(
        default="default",
        description="default: balanced, paired, stratified. kernelshap: the paper's iid draw. a_optimal: begins with what "
        "the ledger has (or as default), then chooses, a round at a time, what narrows the intervals most; for "
        "contributors who join or leave.",
    )
    estimator: EstimatorName = Field(
        default="default",
        description="default: mean of gp and ridge_odd where the rows are paired, else gp; intervals from gp. "
        "kernelshap is the paper's estimator, exactly.",
    )
    reuse: bool = Field(
        default=True,
        description="Also use what earlier runs left in the ledger and this design did not ask for; estimators default and "
        "gp only, the others need the rows of one design.",
    )
    stop_width: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Stop as soon as every property's widest interval of an excess credit, from low to high, is at most so "
        "wide, in the property's unit. Empty: no such rule; without any rule the whole budget is spent in one round.",
    )
    stop_relative_width: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="The same as a part of v(N) - v(∅): 0.05 is five percent of what all contributors gave together. Easily "
        "satisfied where v(∅) is an untrained network, far off.",
    )
    stop_top: int | None = Field(
        default=None,
        ge=1,
        description="Stop as soon as it is settled, for every property, who the so many contributors with the largest "
        "credits are (not their order among themselves).",
    )
    stop_level: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="Level of the intervals, or probability of each order, that the stop rule asks for. The statement's own "
        "intervals are always 90 %.",
    )
    batch: int = Field(
        default=0,
        ge=0,
        description="Evaluations of a round after the first, with a stop rule or a_optimal; 0 means one a contributor. The "
        "first round takes three a contributor: fewer give intervals that are not to be trusted.",
    )
    hard_budget: bool = Field(
        default=False,
        description="a_optimal: the budget holds for reused evaluations of today's contributors and new ones together, "
        "whoever is new. reattribute sets it.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the draw of coalitions.")

    @model_validator(mode="after")
    def _fits_together(self) -> EstimationSpec:
        facts = ESTIMATOR_FACTS[self.estimator]
        rules = [name for name in ("stop_width", "stop_relative_width", "stop_top") if getattr(self, name) is not None]
        if len(rules) > 1:
            raise ValueError(
                f"one stop rule at a time, please: {' and '.join(f'estimation.{r}' for r in rules)} are set"
            )
        if self.has_stop_rule and not facts.stops:
            raise ValueError(
                f"estimation.estimator '{self.estimator}' has intervals that are too narrow to stop by; "
                "a stop rule needs another"
            )
        if facts.only_design not in (None, self.design):
            # It is fitted without weights, which is right only for rows drawn from the kernel.
            raise ValueError(
                f"estimation.estimator '{self.estimator}' needs estimation.design '{facts.only_design}': on another design "
                "it is biased; kernelshap_sizes takes any"
            )
        if self.design == "a_optimal" and not self.takes_any_rows:
            raise ValueError(
                f"estimation.design 'a_optimal' needs estimation.estimator 'default' or 'gp', not '{self.estimator}': its "
                "rows are chosen for them, and are no sample that another could weigh"
            )
        return self

    @property
    def has_stop_rule(self) -> bool:
        """Whether the study may end before its budget does."""
        return any(rule is not None for rule in (self.stop_width, self.stop_relative_width, self.stop_top))

    @property
    def in_rounds(self) -> bool:
        """Whether it is asked between batches if there is enough, or which coalitions are worth most now."""
        return self.has_stop_rule or self.design == "a_optimal"

    @property
    def takes_any_rows(self) -> bool:
        """Whether the estimator uses evaluations that no design of its own drew."""
        return ESTIMATOR_FACTS[self.estimator].any_rows
