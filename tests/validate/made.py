"""Made-up findings for the tests: a study whose credits are right up to a noise that a test asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from tasks.validate.types import Against, Estimate, Method, PropertyFound, Repeat, Validation, Way

NAMES = (
    "Abdullah Wakeel",
    "Emily Jäger",
    "Hilda Kalyoncu",
    "Kai Magnus Müller",
    "山田 花子",
    "Sofie Ascherl",
    "A",
    "B",
)
HOSTILE = "<script>alert(1)</script>|[x](http://evil.example)\n\u202e$a_b^c$`=1`"
RUN = "20261124T120000Z-0123abcd"
RECIPE = "ab" * 32
NOT_MADE = Estimate(value=None, low=None, high=None, count=2, reason="there are 2 coalitions, fewer than 4")
Kind = Literal["ours", "paper", "free", "trains"]
METHODS: tuple[tuple[str, Kind, float], ...] = (
    ("this study", "ours", 0.55), ("the paper's estimator", "paper", 0.48), ("pro rata", "free", 0.46),
    ("random", "free", -0.05), ("own score", "free", 0.12), ("pixel similarity", "free", 0.2),
    ("feature similarity", "free", 0.3), ("leave one out", "trains", 0.33), ("TRAK", "trains", 0.25),
    ("D-TRAK", "trains", 0.31), ("tree surrogate", "trains", 0.5),
)  # fmt: skip


def estimate(value: float, half: float = 0.2, count: int = 24, most: float = 1) -> Estimate:
    """A correlation; with most=2, a difference of two."""
    return Estimate(value=value, low=max(value - half, -most), high=min(value + half, most), count=count)


def build(
    names: tuple[str, ...] = NAMES,
    *,
    properties: tuple[str, ...] = ("heldout_loss", "cluster_entropy"),
    exact: bool = False,
    counterfactuals: bool = True,
    half: float = 0.2,
    **changes: Any,
) -> Validation:
    """A validation of `names`; half: half-width of every interval."""
    fields: dict[str, Any] = {
        "study": "openmoji",
        "run": RUN,
        "created": datetime(2026, 11, 24, 12, tzinfo=UTC),
        "recipe": RECIPE,
        "estimation": RECIPE,
        "evaluations": 66,
        "epoch": 1,
        "contributors": names,
        "one_size": len(names) // 2,
        "coalitions_of_one_size": 24,
        "coalitions_across": 8,
        "trained": 212,
        "found": 60,
        "seconds": 5021.0,
        "retrain_steps": 1500,
        "device": "cpu, 2 cores",
        "shortfalls": ("6 coalitions of other sizes were asked for as 8: there are no more.",),
        "properties": tuple(
            made(name, len(names), number, exact=exact, counterfactuals=counterfactuals, half=half)
            for number, name in enumerate(properties)
        ),
    }
    return Validation(**(fields | changes))


def made(
    name: str, contributors: int, seed: int = 0, *, exact: bool = False, counterfactuals: bool = True, half: float = 0.2
) -> PropertyFound:
    """One property of so many contributors."""
    rng = np.random.default_rng(seed)
    ways = [
        way("finetune", 100, 0.3, rng, study=True, agreement=0.81, half=half),
        way("finetune", 25, 0.3, rng, agreement=0.45, half=half),
        way("finetune", 50, 0.3, rng, agreement=0.7, half=half),
        way("finetune", 200, 0.3, rng, agreement=0.86, half=half),
        way("finetune", 100, 0.0, rng, agreement=0.84, half=half),
        way("finetune", 100, 0.5, rng, agreement=0.66, half=half),
        way("retrain", 1500, 0.3, rng, agreement=0.93, half=half),
    ]
    methods = [method(*row, contributors, rng, counterfactuals=counterfactuals, half=half) for row in METHODS]
    against = tuple(
        Against(
            method=m.name, pearson=estimate(m.lds.value or 0, half, contributors),
            spearman=estimate(m.lds.value or 0, half, contributors), error=0.4 if m.kind == "ours" else None,
            covered=0.8 if m.kind == "ours" else None,
        )
        for m in methods
    )  # fmt: skip
    return PropertyFound(
        name=name,
        unit="nats",
        spread=0.0041,
        noise=0.0007,
        chance_sd=0.195,
        ways=tuple(ways),
        methods=tuple(methods),
        repeat=Repeat(
            pearson=estimate(0.9, half, 8),
            spearman=estimate(0.86, half, 8),
            noise=0.0013,
            own=estimate(0.7, half, 8),
            shared=estimate(0.06, half, 8, most=2),
            lds=estimate(0.5, half, 8),
        ),
        exact=against if exact else None,
        exact_credits=tuple(rng.normal(0.1, 0.02, contributors)) if exact else None,
    )


def way(
    mode: Literal["finetune", "retrain"],
    steps: int,
    ratio: float,
    rng: np.random.Generator,
    *,
    study: bool = False,
    agreement: float = 0.8,
    half: float = 0.2,
) -> Way:
    """Values that agree so well, of 24 coalitions of 4 and 8 of other sizes."""
    sizes = [4] * 24 + [1, 2, 2, 3, 5, 6, 6, 7]
    true = -0.07 + 0.004 * rng.normal(size=32) + 0.003 * (np.array(sizes) - 4)
    values = -0.06 + 0.7 * (agreement * (true + 0.07) + 0.004 * np.sqrt(1 - agreement**2) * rng.normal(size=32))
    return Way(
        mode=mode,
        steps=steps,
        ratio=ratio,
        study=study,
        seconds=0.075 * steps * (1 - ratio),
        work=1e6 * steps * 32 * (1 - ratio),
        ahead=None if study else estimate(agreement - 0.81, half, most=2),
        pearson=estimate(agreement, half),
        spearman=estimate(agreement - 0.03, half),
        scale=estimate(0.7 * agreement, half),
        pearson_across=estimate(min(agreement + 0.05, 1), half, 32),
        spearman_across=estimate(agreement, half, 32),
        points=tuple((size, float(v), float(t)) for size, v, t in zip(sizes, values, true, strict=True)),
    )


def method(
    name: str,
    kind: Kind,
    lds: float,
    contributors: int,
    rng: np.random.Generator,
    *,
    counterfactuals: bool = True,
    half: float = 0.2,
) -> Method:
    """A method with such a score, beside the study's 0.55."""
    changes: dict[str, Any] = {
        "removed": {"0.4": -0.3 * lds, "0.6": -0.5 * lds},
        "kept": {"0.4": -0.4 + 0.3 * lds, "0.6": None},
    }
    return Method(
        name=name,
        kind=kind,
        credits=tuple(rng.normal(size=contributors)),
        lds=estimate(lds, half),
        ahead=None if kind == "ours" else estimate(0.55 - lds, half, most=2),
        probability_ours=None if kind == "ours" else 0.5 + 0.4 * (0.55 - lds),
        better_than_chance=lds > 0.32,
        **(changes if counterfactuals else {}),
    )
