"""Run by an interpreter that has shapiq (>= 1.8, Python >= 3.12), as a yardstick from elsewhere; see `shapiq_link`.

Reads one setting and estimator a line of standard input as JSON, rebuilds the game from its parameters (shapiq draws its own
coalitions, so it must be able to ask for any), and answers one line: {"excess", "seconds", "evaluations"} or {"problem"}.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from tests.bench.estimators.problem import evaluator


def approximator(name: str, n_players: int, seed: int) -> Any:
    """shapiq's estimator by the name it has in our tables, at its own defaults."""
    theirs = import_module("shapiq.approximator")  # by name: no package of ours may depend on it

    if name.startswith("RegressionMSR"):
        return theirs.RegressionMSR(n_players, "SV", proxy_model=name.split()[1], random_state=seed)
    if name == "ProxySHAP":
        return theirs.ProxySHAP(n_players, index="SV", max_order=1, random_state=seed)
    if name == "LeverageSHAP":
        return theirs.LeverageSHAP(n_players, random_state=seed)
    if name == "OddSHAP":
        return theirs.OddSHAP(n_players, random_state=seed)
    if name == "permutations":
        return theirs.PermutationSamplingSV(n_players, random_state=seed)
    raise ValueError(f"unknown estimator of shapiq: {name!r}")


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Credits of one setting; {"problem": why} where shapiq refuses (too small a budget, say)."""
    setting = asked["setting"]
    n, seed = setting["n_players"], setting["repeat"]
    words = (setting["noise_kind"], setting["empty"], setting["spread"])
    value = evaluator(setting["game"], n, seed, setting["noise"], *words)
    seen: set[bytes] = set()

    def game(coalitions: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(coalitions).astype(bool)
        seen.update(row.tobytes() for row in rows)
        return value(rows)

    started = time.perf_counter()
    try:
        credits = (
            approximator(asked["estimator"], n, seed).approximate(setting["factor"] * n, game).get_n_order_values(1)
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        return {"problem": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - started
    if not np.isfinite(credits).all():
        return {"problem": "credits that are not finite"}
    return {"excess": (credits - credits.mean()).tolist(), "seconds": seconds, "evaluations": len(seen)}


def main() -> None:
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    print(json.dumps({"version": version("shapiq")}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
