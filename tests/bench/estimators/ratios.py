"""From records to figures: means over repetitions, ratios at equal budgets, geometric means over games.

A gain of 50 over `kernelshap` reads: on the same number of evaluations, the relative MSE of the excess credits is a 50th.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.bench.estimators.archive import Record
from tests.bench.estimators.settings import methods

EXACT = 1e-20  # relative MSE below which both are exact, and a ratio of the two says nothing
Condition = tuple[int, float, str, str, int]  # n_players, noise, noise_kind, empty, factor


def geometric(numbers: Iterable[float]) -> float | None:
    """Geometric mean; None of nothing."""
    logs = np.log(list(numbers))
    return float(np.exp(logs.mean())) if len(logs) else None


@dataclass
class Cells:
    """Accuracy results by condition, game, method and repetition."""

    results: dict[tuple[Condition, str, str], dict[int, dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    @classmethod
    def of(cls, records: Iterable[Record]) -> Cells:
        cells = cls()
        for record in records:
            cell = record["cell"]
            if cell["experiment"] == "accuracy":
                where = (cell["n_players"], cell["noise"], cell["noise_kind"], cell["empty"], cell["factor"])
                cells.results[where, cell["game"], cell["method"]][cell["repeat"]] = record["result"]
        return cells

    def conditions(self) -> list[Condition]:
        """Measured ones; of each far-off case also the one with v(∅) on its curve, for which it can stand."""
        return sorted({(*where[:3], empty, where[4]) for where, _, _ in self.results for empty in (where[3], "curve")})

    def games(self, condition: Condition) -> list[str]:
        either = {condition, (*condition[:3], "far", condition[4])} if condition[3] == "curve" else {condition}
        return sorted({game for where, game, _ in self.results if where in either})

    def methods(self) -> list[str]:
        """In the order of `settings.methods`."""
        order = [method.name for method in methods(shapiq=True)]
        found = {method for _, _, method in self.results}
        return [name for name in order if name in found] + sorted(found - set(order))

    def get(self, condition: Condition, game: str, method: str) -> dict[int, dict[str, Any]]:
        """Results by repetition. Where v(∅) on its curve was not measured, the far-off case stands for it (only methods
        that v(∅) cannot move are left out there: `settings.is_asked`)."""
        found = self.results.get((condition, game, method))
        if not found and condition[3] == "curve":
            found = self.results.get(((*condition[:3], "far", condition[4]), game, method))
        return found or {}

    def errors(self, condition: Condition, game: str, method: str) -> dict[int, float]:
        """Relative MSE of each repetition that gave credits."""
        return {
            repeat: result["error"] for repeat, result in self.get(condition, game, method).items() if "error" in result
        }

    def gain(self, condition: Condition, game: str, method: str, yardstick: str) -> float | None:
        """Mean relative MSE of the yardstick over the method's, in the repetitions where both gave credits."""
        ours, theirs = self.errors(condition, game, method), self.errors(condition, game, yardstick)
        both = ours.keys() & theirs.keys()
        if not both:
            return None
        mean, other = (float(np.mean([errors[repeat] for repeat in both])) for errors in (ours, theirs))
        return None if max(mean, other) < EXACT else other / max(mean, EXACT)

    def gains(
        self, conditions: Sequence[Condition], method: str, yardstick: str, games: Callable[[str], bool]
    ) -> list[float]:
        """One gain for each condition and game that was measured."""
        found = [
            self.gain(condition, game, method, yardstick)
            for condition in conditions
            for game in self.games(condition)
            if games(game)
        ]
        return [gain for gain in found if gain is not None]

    def average(
        self, conditions: Sequence[Condition], method: str, what: str, kind: Callable[[list[float]], float] = np.mean
    ) -> float | None:
        """Mean (or another kind of it) of a result over conditions, games and repetitions that have it."""
        found = [
            result[what]
            for condition in conditions
            for game in self.games(condition)
            for result in self.get(condition, game, method).values()
            if result.get(what) is not None
        ]
        return float(kind(found)) if found else None

    def failures(self, conditions: Sequence[Condition], method: str) -> int:
        """Repetitions in which the estimator said that the evaluations identify nothing."""
        return sum(
            "unidentified" in result
            for condition in conditions
            for game in self.games(condition)
            for result in self.get(condition, game, method).values()
        )

    def repetitions(self, conditions: Sequence[Condition], methods: Sequence[str]) -> tuple[int, int]:
        """(least, most) repetitions behind a figure."""
        counts = [
            len(self.get(condition, game, method))
            for condition in conditions
            for game in self.games(condition)
            for method in methods
            if self.get(condition, game, method)
        ]
        return (min(counts), max(counts)) if counts else (0, 0)

    def largest_move(self) -> float | None:
        """Largest relative change of an error between v(∅) far off and on its curve, of methods it must not move."""
        moves = []
        for (where, game, method), results in self.results.items():
            if where[3] == "curve" and method != "kernelshap" and not method.startswith("shapiq"):
                far = self.results.get(((*where[:3], "far", where[4]), game, method), {})
                moves += [
                    abs(result["error"] - far[repeat]["error"]) / far[repeat]["error"]
                    for repeat, result in results.items()
                    if far.get(repeat, {}).get("error", 0) > EXACT and "error" in result
                ]
        return max(moves, default=None)


@dataclass(frozen=True)
class Joining:
    """The join experiment on one game: medians over repetitions.

    needed: new evaluations at which the median error is no larger than the fresh start's; None if that was never so.
    """

    game: str
    noise: float
    n_players: int
    repetitions: int
    fresh: float
    paper: float
    fresh_evaluations: int
    curve: dict[int, float]
    needed: int | None

    @property
    def share(self) -> float | None:
        return None if self.needed is None else self.needed / self.fresh_evaluations


def joinings(records: Iterable[Record]) -> list[Joining]:
    """One for each game, noise and number of players."""
    groups: dict[tuple[int, float, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        cell = record["cell"]
        if cell["experiment"] == "join":
            groups[cell["n_players"], cell["noise"], cell["game"]].append(record["result"])
    found = []
    for (n_players, noise, game), results in sorted(groups.items()):
        fresh = float(np.median([result["fresh"] for result in results]))
        errors = np.median([result["errors"] for result in results], axis=0)
        curve = dict(zip(results[0]["new"], errors.tolist(), strict=True))
        needed = next((new for new, error in curve.items() if error <= fresh), None)
        paper = float(np.median([result["paper"] for result in results]))
        evaluations = results[0]["fresh_evaluations"]
        found.append(Joining(game, noise, n_players, len(results), fresh, paper, evaluations, curve, needed))
    return found
