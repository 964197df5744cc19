"""How often intervals cover, and how wide they are: run as `python -m tests.shapley.coverage` for the full table.

Each repeat: a new game of each kind, one design, noise of a given share of the s.d. between coalitions, v(∅) far below
(as an untrained network is), credits from each estimator on its own design. All figures are of excess credits.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np

from tasks.shapley import Credits, MeasuredNoise, estimate_credits, propose_coalitions
from tests.games import Game, all_coalitions, family


@dataclass(frozen=True)
class Method:
    name: str
    design: str
    estimator: str
    failed: float = 0.0  # share of the evaluations that never came back
    noise_known: bool = False


METHODS = (
    Method("default", "default", "default"),
    Method("default, noise variance known", "default", "default", noise_known=True),
    Method("default, 10 % failed", "default", "default", failed=0.1),
    Method("kernelshap_sizes on iid rows", "kernelshap", "kernelshap_sizes"),
    Method("kernelshap on paired rows", "default", "kernelshap"),
    Method("kernelshap (the paper's)", "kernelshap", "kernelshap"),
)


@dataclass(frozen=True)
class Score:
    """coverage: of intervals at the level; width: mean over players over the s.d. of excess credits; error: relative
    squared error; separated: share of pairs (top third, bottom third) with P(i > j) >= 0.95; spurious: share of all
    ordered pairs with P(i > j) >= 0.95 though i is below j."""

    coverage: float
    width: float
    error: float
    separated: float
    spurious: float


def score(credits: Credits, game: Game, level: float) -> Score:
    truth = game.excess
    low, high = credits.excess_interval(level)
    sure = credits.probability_greater() >= 0.95
    order = np.argsort(truth)
    third = len(truth) // 3
    return Score(
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        width=float((high - low).mean() / truth.std()),
        error=float(((credits.excess - truth) ** 2).sum() / (truth**2).sum()),
        separated=float(sure[np.ix_(order[-third:], order[:third])].mean()),
        spurious=float((sure & (truth[:, None] < truth[None, :])).mean()),
    )


def measure(
    method: Method, n_players: int, budget: int, noise: float, repeats: int, *, level: float = 0.9, seed: int = 0
) -> dict[str, Score]:
    """Mean score of each kind of game; width and error are geometric means."""
    found: dict[str, list[Score]] = {}
    for repeat in range(repeats):
        design = propose_coalitions(n_players, budget, seed=seed + repeat, design=method.design)
        for game in family(n_players, seed + repeat):
            rng = np.random.default_rng([seed, repeat, len(found)])
            spread = game.value(all_coalitions(n_players)[1:]).std()
            came_back = rng.random(len(design)) >= method.failed
            rows = design[came_back | design.all(axis=1) | ~design.any(axis=1)]
            values = game.value(rows) + noise * spread * rng.standard_normal(len(rows))
            values[~rows.any(axis=1)] -= 20 * spread
            known = MeasuredNoise((noise * spread) ** 2) if method.noise_known else None
            credits = estimate_credits(rows, values, estimator=method.estimator, noise=known)
            found.setdefault(game.name, []).append(score(credits, game, level))
    return {name: _mean(scores) for name, scores in found.items()}


def _mean(scores: list[Score]) -> Score:
    def geometric(numbers: list[float]) -> float:
        return float(np.exp(np.mean(np.log(numbers))))

    return Score(
        coverage=float(np.mean([s.coverage for s in scores])),
        width=geometric([s.width for s in scores]),
        error=geometric([s.error for s in scores]),
        separated=float(np.mean([s.separated for s in scores])),
        spurious=float(np.mean([s.spurious for s in scores])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, nargs="+", default=[8, 10, 12])
    parser.add_argument("--budgets", type=int, nargs="+", default=[64, 100])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    for n_players in given.players:
        for budget in given.budgets:
            for noise in given.noise:
                print(f"\nn = {n_players}, {budget} evaluations, noise {noise:.0%}; {given.repeats} repeats of 5 games")
                print(f"{'':32}coverage of 90 %  (lowest game)  width  rel. error  separated  spurious")
                for method in METHODS:
                    games = measure(method, n_players, budget, noise, given.repeats)
                    s = _mean(list(games.values()))
                    lowest = min(g.coverage for g in games.values())
                    print(
                        f"{method.name:32}{s.coverage:16.3f}{lowest:16.3f}{s.width:8.2f}{s.error:12.2g}"
                        f"{s.separated:11.2f}{s.spurious:10.4f}"
                    )


if __name__ == "__main__":
    main()
