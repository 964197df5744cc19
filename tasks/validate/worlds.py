"""A study made in other ways, so that its own way can be judged: retrained from scratch, unpruned, with more or fewer steps.

    truth     the unpruned network, trained on the coalition from random weights as the reference was on everybody's images
    own       the study's way: pruned, fine-tuned
    repeat    the truth once more, under another seed
    others    the pruned network retrained; other numbers of steps; other ratios of pruning

Each way is a study with some fields changed, so its evaluations are evaluations like all others: in the ledger, resumed,
made by the same workers, and found again by whoever asks for the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.digest import digest_of
from tasks.audit_spec import AuditSpec
from tasks.families import family_of
from tasks.plan.chain import properties_of
from tasks.plan.design import Coalitions
from tasks.recipe import coalition_training, recovery_training, reference_training, training_spec
from tasks.study import Study
from tasks.validation.coalitions import across_sizes, fixed_size, half
from tasks.validation_spec import ValidationSpec


@dataclass(frozen=True)
class Asked:
    """A way of realising coalitions, and which.

    rows: bool[k, contributors]. own: whether it is the study's own way. repeat: whether it is the truth under another seed.
    """

    study: Study
    rows: Coalitions
    own: bool = False
    repeat: bool = False

    @property
    def steps(self) -> int:
        """Of a coalition's training."""
        coalition = self.study.coalition
        return coalition.retrain_steps if coalition.mode == "retrain" else coalition.steps

    @property
    def ends(self) -> bool:
        """Whether nobody's and everybody's model belong to it: they are needed of the study's own way and of the truth."""
        return self.own or (not self.repeat and _how(self.study) == _how(truth(self.study)))

    @property
    def name(self) -> str:
        """For logs."""
        pruned = f"pruned by {self.study.pruning.ratio:g}" if self.study.pruning.ratio else "unpruned"
        how = "retrained" if self.study.coalition.mode == "retrain" else "fine-tuned"
        return f"{pruned}, {how} for {self.steps} steps{' under another seed' if self.repeat else ''}"


@dataclass(frozen=True)
class Chosen:
    """The coalitions that are retrained: first those of one size, then the others; none of nobody or everybody.

    shortfalls: what was asked for and does not exist, in words.
    """

    rows: Coalitions
    size: int
    of_one_size: int
    complete: bool
    shortfalls: tuple[str, ...]

    @property
    def one_size(self) -> Coalitions:
        """Those of the one size."""
        return self.rows[: self.of_one_size]


def truth(study: Study) -> Study:
    """The study with every coalition trained as the reference was: unpruned, from random weights, all its steps."""
    coalition = study.coalition.model_copy(
        update={"mode": "retrain", "retrain_steps": study.model.train_steps, "batch_size": study.model.batch_size}
    )
    pruning = study.pruning.model_copy(update={"ratio": 0.0})
    return study.model_copy(update={"coalition": coalition, "pruning": pruning, "audit": AuditSpec()})


def pruned_truth(study: Study) -> Study:
    """The same with the pruned network."""
    return truth(study).model_copy(update={"pruning": study.pruning})


def repeated_truth(study: Study, chosen: Chosen, asked: ValidationSpec) -> Asked | None:
    """Coalitions of the one size retrained once more, with other initial weights, batches and noise; None if none are
    asked for."""
    count = min(asked.repeated, chosen.of_one_size)
    if not count:
        return None
    again = truth(study)
    # No noise is measured of it; the other seed may be one of those under which the study's own audit repeats.
    first = again.coalition.seed
    other = next(seed for seed in itertools.count(first + 1) if seed != study.model.seed)  # not the reference's either
    coalition = again.coalition.model_copy(update={"seed": other, "audit_coalitions": 0, "audit_seeds": []})
    # Images are drawn with the difference of a job's seed and the study's, which is none here.
    sampling = again.sampling.model_copy(update={"seed": again.sampling.seed + other - first})
    again = again.model_copy(update={"coalition": coalition, "sampling": sampling})
    return Asked(again, chosen.rows[:count], repeat=True)


def chosen_coalitions(study: Study, contributors: int, asked: ValidationSpec) -> Chosen:
    """Which coalitions are retrained; all there are where that is not more than asked for, for then credits are exact."""
    size = half(contributors)
    if contributors < 30 and 2**contributors <= asked.one_size + asked.across_sizes:
        everything = ((np.arange(1, 2**contributors - 1)[:, None] >> np.arange(contributors)) & 1).astype(bool)
        first = everything.sum(axis=1) == size
        rows = np.concatenate([everything[first], everything[~first]])
        return Chosen(rows, size, int(first.sum()), True, ())
    alike = fixed_size(contributors, size, asked.one_size, seed=asked.seed)
    drawn = [(alike, f"of {size} contributors")]
    if asked.across_sizes:
        # The one size is asked for already; so are its coalitions that are not among these, as far as sizes go.
        same = [] if contributors > 20 else [_of_size(contributors, size)]
        avoid = np.concatenate([alike.coalitions, *same])
        drawn.append((across_sizes(contributors, asked.across_sizes, seed=asked.seed, avoid=avoid), "of other sizes"))
    shortfalls = [
        f"{each.asked} coalitions {what} were asked for, and there are {len(each.coalitions)}"
        for each, what in drawn
        if each.shortfall
    ]
    rows = np.concatenate([each.coalitions for each, _ in drawn])
    rows = rows[
        np.concatenate([np.ones(len(alike.coalitions), bool), rows[len(alike.coalitions) :].sum(axis=1) != size])
    ]
    return Chosen(rows, size, len(alike.coalitions), False, tuple(shortfalls))


def other_ways(study: Study, chosen: Chosen, asked: ValidationSpec) -> tuple[Asked, ...]:
    """All ways but the study's own and the truth, each once."""
    ways = [Asked(pruned_truth(study), chosen.rows[: min(asked.pruned, chosen.of_one_size)])] if asked.pruned else []
    if study.coalition.mode == "finetune":
        for factor in asked.step_factors:
            steps = max(1, round(factor * study.coalition.steps))
            ways.append(Asked(_with(study, "coalition", steps=steps), chosen.rows))
    ways += [Asked(_with(study, "pruning", ratio=ratio), chosen.rows) for ratio in asked.ratios]
    known = {_how(study), _how(truth(study))}
    different = {_how(way.study): way for way in ways if _how(way.study) not in known and len(way.rows)}
    return tuple(different.values())


def check_provable(study: Study) -> None:
    """Raises ValueError if the study itself does what it would be held against."""
    if _how(study) == _how(truth(study)):
        raise ValueError(
            "this study retrains the unpruned network for every coalition: there is nothing more faithful to hold it against"
        )


def recipe_digest(study: Study) -> str:
    """sha256 of how a study makes and measures coalitions, whatever the images and the seeds: what a validation is of."""
    family = family_of(study.model)
    pruning = study.pruning.model_dump(mode="json", include={"ratio", "importance"}) if study.pruning.ratio else None
    trainings = {
        "reference": training_spec(reference_training(study.model)) if family.trains else None,
        "recovery": training_spec(recovery_training(study.pruning, study.model)) if study.pruning.ratio else None,
        "coalition": training_spec(coalition_training(study, 0)),
    }
    return digest_of(
        "validated",
        {
            "start": family.start(family.given()),
            "pruning": pruning,
            "mode": study.coalition.mode,
            "baseline": family.baseline(study),
            "trainings": {name: None if t is None else {**t, "seed": None} for name, t in trainings.items()},
            "sampling": study.sampling.model_dump(mode="json", exclude={"seed", "batch_size"}),
            "properties": [p.identity() for p in properties_of(study)],
        },
    )


def estimation_digest(study: Study, contributors: Sequence[str]) -> str:
    """sha256 of whose credits these are and how they are estimated: what a validation's judgement of credits is of."""
    fields = study.estimation.model_dump(mode="json", include={"design", "estimator", "budget"})
    return digest_of("estimated", {**fields, "contributors": sorted(contributors)})


def without_one(contributors: int) -> Coalitions:
    """Everybody but one, for each of them: bool[n, n]."""
    return ~np.eye(contributors, dtype=bool)


def _of_size(contributors: int, size: int) -> Coalitions:
    chosen = list(itertools.combinations(range(contributors), size))
    rows = np.zeros((len(chosen), contributors), dtype=bool)
    rows[np.arange(len(chosen))[:, None], np.array(chosen)] = True
    return rows


def _with(study: Study, section: str, **fields: float) -> Study:
    changed = getattr(study, section).model_copy(update=fields)
    return study.model_copy(update={section: changed, "audit": AuditSpec()})


def _how(study: Study) -> Sequence[object]:
    return (
        study.coalition.mode,
        Asked(study, np.zeros((0, 0), bool)).steps,
        study.coalition.batch_size,
        study.pruning.ratio,
    )
