"""What is measured: settings, methods, and the order in which the benchmark works through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from tasks.shapley.estimators import ESTIMATORS
from tests.games import LARGEST, NAMED, OTHERS

PLAYERS = (20, 50, 100, 258, 12)  # 12 for the random table alone, which needs all 2^n values
FACTORS = (5, 10, 2)  # evaluations a contributor
NOISES = (0.1, 0.3, 0.0)  # s.d. as a share of sd(v)
NOISE_KINDS = ("iid", "small", "heavy")
EMPTIES = ("far", "curve")  # v(∅) 100 s.d. below the game's own value, or the game's own value
# sd(v) of all 2^n coalitions alike, or of coalitions whose sizes follow the Shapley kernel, as designs draw them. The
# first is smaller, 2 to 4 times at n = 20 and up to 20 times at n = 258, for nearly all coalitions are half of everybody.
SPREADS = ("uniform", "kernel")
REPEATS = {12: 20, 20: 20}  # others: 5


@dataclass(frozen=True)
class Setting:
    """One data set: a game, a budget of factor · n evaluations, the noise, where v(∅) lies, and which repetition."""

    n_players: int
    game: str
    noise: float
    noise_kind: str
    empty: str
    factor: int
    repeat: int
    spread: str

    @property
    def budget(self) -> int:
        return self.factor * self.n_players


@dataclass(frozen=True)
class JoinSetting:
    """`joiners` of n players come to the archive of the others' 10 (n - joiners) evaluations; iid noise."""

    n_players: int
    game: str
    noise: float
    repeat: int
    spread: str
    joiners: int = 3


@dataclass(frozen=True)
class Method:
    """An estimator on a design. name: as in the tables. shapiq's methods draw their own coalitions (design '')."""

    name: str
    estimator: str
    design: str

    @property
    def is_shapiq(self) -> bool:
        return self.design == ""

    @property
    def moved_by_empty(self) -> bool:
        """Whether v(∅) moves the excess credits; of ours it does in the paper's estimator alone."""
        return self.is_shapiq or self.estimator == "kernelshap"


SHAPIQ = ("RegressionMSR xgboost", "RegressionMSR linear", "ProxySHAP", "LeverageSHAP", "OddSHAP", "permutations")
SHAPIQ_LARGEST = 50
IID_ROWS = "kernelshap_sizes, iid rows"


def methods(shapiq: bool = False, only: Sequence[str] = ()) -> list[Method]:
    """All registered estimators, the paper's on the paper's draw and the others on our design; `only` picks by name."""
    names = dict.fromkeys([*ESTIMATORS, "default"])
    ours = [Method(name, name, "kernelshap" if name == "kernelshap" else "default") for name in names]
    ours.insert(list(names).index("kernelshap_sizes") + 1, Method(IID_ROWS, "kernelshap_sizes", "kernelshap"))
    theirs = [Method(f"shapiq {name}", name, "") for name in SHAPIQ] if shapiq else []
    known = [method.name for method in ours + theirs]
    if unknown := set(only) - set(known):
        raise ValueError(f"unknown method {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    return [method for method in ours + theirs if not only or method.name in only]


def is_asked(setting: Setting, method: Method) -> bool:
    """Whether this method is measured in this setting.

    Where v(∅) cannot move the excess, the far-off case stands for both; at n = 20 with iid noise both are measured, so
    that the tables can say how far they differ. From 100 players on other noise than iid is measured at 5n alone and
    without `gp`, whose time `default` holds. shapiq's, much slower, run on iid noise and up to 50 players.
    """
    if setting.n_players >= 100 and setting.noise_kind != "iid" and (setting.factor != 5 or method.name == "gp"):
        return False
    if method.is_shapiq:
        return setting.noise_kind == "iid" and setting.n_players <= SHAPIQ_LARGEST
    if setting.empty == "curve" and not method.moved_by_empty:
        return setting.n_players == 20 and setting.noise_kind == "iid"
    return True


def kinds(n_players: int) -> tuple[str, ...]:
    """Kinds of game that are measured with so many players."""
    if n_players <= LARGEST["random table"]:
        return ("random table",)
    return tuple(kind for kind in (*NAMED, *OTHERS) if n_players <= LARGEST.get(kind, n_players))


def settings(
    players: Sequence[int] = PLAYERS,
    factors: Sequence[int] = FACTORS,
    noises: Sequence[float] = NOISES,
    noise_kinds: Sequence[str] = NOISE_KINDS,
    repeats: int | None = None,
    spread: str | None = None,
) -> Iterator[Setting]:
    """All settings; without noise its kind makes no difference, so only iid is there."""
    return (
        Setting(n, game, noise, noise_kind, empty, factor, repeat, spread or usual_spread(n))
        for n in players
        for noise, noise_kind, empty, factor in product(noises, noise_kinds, EMPTIES, factors)
        if noise > 0 or noise_kind == "iid"
        for game in kinds(n)
        for repeat in range(repeats or REPEATS.get(n, 5))
    )


def join_settings(
    players: Sequence[int] = (20,),
    noises: Sequence[float] = (0.1,),
    repeats: int | None = None,
    spread: str | None = None,
) -> Iterator[JoinSetting]:
    """The join experiment, every kind of game but the additive one, where there is nothing to learn twice."""
    return (
        JoinSetting(n, game, noise, repeat, spread or usual_spread(n))
        for n in players
        for noise in noises
        for repeat in range(repeats or REPEATS.get(n, 5))
        for game in kinds(n)
        if game != "additive"
    )


def usual_spread(n_players: int) -> str:
    """All coalitions up to 20 players; above, where nearly all of them are alike, those that a design draws."""
    return "uniform" if n_players <= 20 else "kernel"


def rank(setting: Setting | JoinSetting) -> tuple[float, int, int, int, str]:
    """Small comes first: n = 20, iid noise and 5n or 10n before the rest; whole repetitions over all games together."""
    if isinstance(setting, JoinSetting):
        return 0.5, setting.n_players, setting.repeat, 0, setting.game
    late = {20: 0.0, 50: 1.0, 100: 2.0, 12: 2.0, 258: 3.0}.get(setting.n_players, 4.0)
    late += 1.5 * (setting.noise_kind != "iid") + 1.0 * (setting.factor == 2)
    late += 1.0 * (setting.factor == 10 and setting.n_players >= 100)
    return late, setting.n_players, setting.repeat, setting.factor, setting.game


def predicted_seconds(setting: Setting | JoinSetting, method_names: Sequence[str]) -> float:
    """A guess on one core, only to tell the time left: the Gaussian process dominates."""
    if isinstance(setting, JoinSetting):
        return 20.0
    gaussian = sum(name in ("gp", "default") for name in method_names)
    theirs = sum(name.startswith("shapiq") for name in method_names)
    thousands = setting.budget / 1000
    return 0.02 * len(method_names) + gaussian * (0.05 + 8 * min(thousands, 1) ** 2) + 0.5 * theirs


def identity(setting: Setting | JoinSetting, method: str) -> dict[str, Any]:
    """What a record is kept under, beside the digest of its sources."""
    experiment = "join" if isinstance(setting, JoinSetting) else "accuracy"
    return {"experiment": experiment, **asdict(setting), "method": method}
