"""A game as an estimator meets it: values with noise, and v(∅) where the setting puts it.

The noise belongs to the coalition, not to its place in a list: whoever asks for v(S), in whatever order, in this process
or another, gets the same number, as from a ledger. So all estimators see the same data, and a row that a design draws
twice tells nothing new. Needs numpy and scipy only, for shapiq's interpreter runs it too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from scipy import special, stats

from tests.games import Coalitions, Floats, Game, build

FAR = 100.0  # s.d. of v by which v(∅) lies below its own value when it is far off
SPREAD_ROWS = 4000


@lru_cache(maxsize=256)
def game_of(kind: str, n_players: int, seed: int, spread: str) -> tuple[Game, float]:
    """The game and sd(v), over coalitions as `settings.SPREADS` says."""
    game = build(kind, n_players, seed)
    rng = np.random.default_rng([seed, n_players])
    size = rng.choice(np.arange(1, n_players), SPREAD_ROWS, p=kernel_masses(n_players))
    if spread == "uniform":
        size = np.clip(rng.binomial(n_players, 0.5, SPREAD_ROWS), 1, n_players - 1)
    rows = np.argsort(np.argsort(rng.random((SPREAD_ROWS, n_players)), axis=1), axis=1) < size[:, None]
    return game, float(game.value(rows).std())


def kernel_masses(n_players: int) -> Floats:
    """Shapley kernel mass of the sizes 1 … n-1, written apart from tasks.shapley as the games are."""
    size = np.arange(1, n_players)
    mass = 1.0 / (size * (n_players - size))
    return np.asarray(mass / mass.sum(), dtype=np.float64)


def unit_noise(rows: Coalitions, seed: int, heavy: bool) -> Floats:
    """Noise of s.d. 1 that is a function of coalition and seed: normal, or Student t with 3 degrees of freedom."""
    key = seed.to_bytes(8, "little")
    number = [int.from_bytes(blake2b(r.tobytes(), digest_size=6, key=key).digest(), "little") for r in rows]
    uniform = (np.array(number, dtype=np.float64) + 0.5) / 2**48
    return np.asarray(stats.t.ppf(uniform, 3) / np.sqrt(3) if heavy else special.ndtri(uniform), dtype=np.float64)


def growth(size: np.ndarray, n_players: int) -> Floats:
    """Factor of the noise's s.d. by coalition size, 3.3 times as large for none as for all; mean square 1 under the
    Shapley kernel, so that settings with and without it are as noisy on the whole."""
    masses = kernel_masses(n_players)
    mean = float((masses / (0.1 + np.arange(1, n_players) / n_players)).sum())
    return np.asarray(np.sqrt(1 / (0.1 + size / n_players) / mean), dtype=np.float64)


def evaluator(
    kind: str, n_players: int, seed: int, noise: float, noise_kind: str, empty: str, spread: str
) -> Callable[[Coalitions], Floats]:
    """v with noise: bool[m, n] -> float64[m]. noise: s.d. as a share of sd(v); the words are those of `settings`."""
    game, deviation = game_of(kind, n_players, seed, spread)

    def value(rows: Coalitions) -> Floats:
        rows = np.ascontiguousarray(rows, dtype=bool)
        size = rows.sum(axis=1)
        values = np.array(game.value(rows), dtype=np.float64)
        if noise > 0:
            scale = growth(size, n_players) if noise_kind == "small" else np.ones(len(rows))
            values += noise * deviation * scale * unit_noise(rows, seed, noise_kind == "heavy")
        if empty == "far":
            values[size == 0] -= FAR * deviation
        return values

    return value
