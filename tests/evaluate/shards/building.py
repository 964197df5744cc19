"""Jobs of a made-up game, and a pool of this process whose shards can be killed at will."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from infra.ledger import Ledger, ScoreRecord
from infra.provenance import now
from infra.store import Store
from infra.work_pool_types import Ended
from tasks.evaluate.jobs import Job, Outcome, Setting
from tasks.evaluate.shards.messages import load_shard, save_report
from tasks.recipe import Recipe
from tasks.study import Study

PLAYERS = 6


def setting(store: Store) -> Setting:
    """What shards have in common; three contributors' images, shared unevenly."""
    ownership = np.arange(12.0).reshape(4, 3) / 7
    return Setting(
        store.url, Study(), "1" * 64, tuple(c * 64 for c in "abcd"), ownership, "2" * 64, {"fid": "3" * 64, "x": None}
    )


def jobs(count: int) -> list[Job]:
    """Distinct coalitions of six contributors, each with one property."""
    made = []
    for number in range(count):
        members = tuple(i for i in range(PLAYERS) if number >> i & 1)
        names = tuple(f"contributor {i}, “=1+1”" for i in members)
        model = Recipe("model", {"pruned": "2" * 64, "members": [str(i) * 64 for i in members], "number": number})
        score = Recipe("score", {"subject": model.key, "property": {"name": "worth"}, "statistics": None})
        made.append(Job(members, names, "design", 0, model, None, {"worth": score}))
    return made


def worth(job: Job) -> float:
    """v(S) of the made-up game."""
    return float(sum(i * i for i in job.members)) + len(job.members) / 10


def do(job: Job, store: Store, seconds: float = 0.5) -> Outcome:
    """Evaluate a job and put it into the ledger, as an evaluator does."""
    recipe = job.scores["worth"]
    record = ScoreRecord(
        key=recipe.key, spec=recipe.spec, subject=job.model.key, value=worth(job), seconds=seconds, created=now()
    )
    Ledger(store).record(record)
    return Outcome({"worth": worth(job)}, {}, {"score": seconds}, trained=True, scored=1)


def recalled(store: Store) -> Callable[[Sequence[Job]], dict[int, Outcome]]:
    """What the ledger has of some jobs."""

    def recall(asked: Sequence[Job]) -> dict[int, Outcome]:
        found = Ledger(store).find(ScoreRecord, (job.scores["worth"].key for job in asked))
        return {
            i: Outcome({"worth": found[key].value or 0.0}, {}, {"fine_tune": found[key].seconds})
            for i, job in enumerate(asked)
            if (key := job.scores["worth"].key) in found
        }

    return recall


class PoolHere:
    """Does each shard when it is asked whether it has ended. `dies` says after how many evaluations one is killed."""

    def __init__(self, store: Store, places: int, dies: Callable[[int, Sequence[Job]], int | None]) -> None:
        self.store, self.places, self._dies = store, places, dies
        self.raises: str | None = None  # the model's key of a job that raises
        self.begins = True  # whether a shard that is killed had begun to evaluate
        self.sent: list[tuple[str, tuple[Job, ...]]] = []
        self.most, self.evaluated = 0, 0
        self.cancelled: list[str] = []
        self.silences: list[float | None] = []  # after which a shard would have been given up, each time it was asked
        self._flying: dict[str, str] = {}

    def send(self, name: str, parameters: Mapping[str, str]) -> str:
        run = str(uuid.uuid4())
        self.sent.append((name, load_shard(parameters["shard"], self.store)))
        self._flying[run] = parameters["shard"]
        self.most = max(self.most, len(self._flying))
        return run

    def ended(self, silent: float | None = None) -> dict[str, Ended]:
        self.silences.append(silent)
        if not self._flying:
            time.sleep(0.001)
            return {}
        run = next(iter(self._flying))
        shard = self._flying.pop(run)
        if self.cancelled:
            return {run: Ended(False, "Cancelled", None)}
        mine = load_shard(shard, self.store)
        lives = self._dies(len(self.sent), mine)
        until = next((i for i, job in enumerate(mine) if job.model.key == self.raises), None)
        outcomes = [do(job, self.store) for job in mine[: lives if until is None else until]]
        self.evaluated += len(outcomes)
        if lives is not None and lives < len(mine):
            return {run: Ended(False, "Crashed: code -9", 2.0, died=self.begins)}
        save_report(
            run,
            shard,
            outcomes,
            worker="here",
            loading=0.1,
            working=0.5 * len(outcomes),
            store=self.store,
            stopped=None if until is None else "RuntimeError: CUDA error",
        )
        return {run: Ended(True, "Completed", 2.0)}

    def refresh(self) -> None:
        pass

    def finished_tasks(self) -> int:
        return 0

    def cancel(self, why: str) -> None:
        self.cancelled.append(why)
