"""The product's `evaluate-shard`, which also says in the soak's journal when each training begins and is recorded."""

from __future__ import annotations

from typing import Any

from flows.evaluate_shard import evaluate_shard
from tasks.evaluate import evaluator
from tests.soak.journal import note

__all__ = ["evaluate_shard"]

_Evaluation = evaluator._Evaluation
_train, _record_model = _Evaluation._train, _Evaluation._record_model


def _noted_train(self: Any) -> Any:
    note("began", self.job.model.key)
    return _train(self)


def _noted_record(self: Any, *arguments: Any) -> None:
    _record_model(self, *arguments)
    note("recorded", self.job.model.key)


_Evaluation._train, _Evaluation._record_model = _noted_train, _noted_record  # type: ignore[method-assign, assignment]
