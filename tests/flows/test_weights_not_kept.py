"""Weights that a study does not keep: a worker that is killed costs the step it was at, and never a conflict.

Training comes out otherwise each time here, as it does on a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from infra.ledger import Ledger, ModelRecord
from infra.store import Store
from tasks.evaluate import evaluator
from tasks.evaluate.jobs import Job, Setting
from tasks.evaluate.workers import InProcess
from tasks.model.model import Model
from tasks.plan.lacking import Held, lacking
from tests.flows.test_evaluations import planned
from tests.small import small_study


class Killed(BaseException):
    """What nobody catches."""


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each training; no two give the same weights."""
    seen: list[int] = []
    real = evaluator.train

    def train(model: Model, *arguments: Any, **options: Any) -> Any:
        losses = real(model, *arguments, **options)
        seen.append(1)
        with torch.no_grad():
            next(model.network.parameters()).add_(0.01 * len(seen))
        return losses

    monkeypatch.setattr(evaluator, "train", train)
    return seen


def one(data: Path, store: Store, keep: float) -> tuple[Setting, Job]:
    """An evaluation that nobody has made."""
    study = small_study(data, coalition={"steps": 4}, execution={"mode": "inline", "keep_weights_below_mb": keep})
    plan, setting = planned(study, store)
    return setting, plan.jobs[3]


def weights_of(job: Job, store: Store) -> tuple[ModelRecord, bool]:
    """What the ledger says of its model, and whether its weights are there."""
    model = Ledger(store).get(ModelRecord, job.model.key)
    assert model is not None
    return model, store.exists(f"models/{model.sha256}.safetensors")


def killed_at(step: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends when it does something for the so manieth time."""
    real, seen = getattr(evaluator._Evaluation, step), list[int]()

    def stops(self: Any, *arguments: Any) -> Any:
        seen.append(1)
        if len(seen) == count:
            raise Killed
        return real(self, *arguments)

    monkeypatch.setattr(evaluator._Evaluation, step, stops)


@pytest.mark.parametrize("step, count", [("_sample", 1), ("_score", 1), ("_score", 2)])
@pytest.mark.parametrize("keep", [0.0, 64.0])
def test_killed_between_training_and_its_last_score_it_goes_on_and_trains_once(
    data: Path,
    finished: Store,
    monkeypatch: pytest.MonkeyPatch,
    trainings: list[int],
    step: str,
    count: int,
    keep: float,
) -> None:
    setting, job = one(data, finished, keep)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at(step, count, patch)
        InProcess(setting).evaluate(job, print)
    assert weights_of(job, finished)[1] and not lacking(job, Held.about([job], Ledger(finished))).training
    outcome = InProcess(setting).evaluate(job, print)
    assert set(outcome.values) == {"heldout_loss", "colourfulness"} and not outcome.failures
    assert len(trainings) == 1
    model, there = weights_of(job, finished)
    assert (model.kept, there) == (keep > 0, keep > 0)


def test_killed_before_its_training_was_recorded_it_trains_again_and_leaves_no_conflict(
    data: Path, finished: Store, monkeypatch: pytest.MonkeyPatch, trainings: list[int]
) -> None:
    setting, job = one(data, finished, 0.0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_at("_record_model", 1, patch)
        InProcess(setting).evaluate(job, print)
    assert InProcess(setting).evaluate(job, print).values and len(trainings) == 2


def test_a_second_evaluation_of_what_is_recorded_and_gone_leaves_no_weights_of_its_own(
    data: Path, finished: Store, trainings: list[int]
) -> None:
    setting, job = one(data, finished, 0.0)
    InProcess(setting).evaluate(job, print)
    score = job.scores["heldout_loss"].key
    finished.delete(f"ledger/scores/{score}.json")
    before = finished.list("models")
    with pytest.raises(Exception, match="made twice with different results"):
        InProcess(setting).evaluate(job, print)
    assert finished.list("models") == before
