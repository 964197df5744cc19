"""How long it takes to find evaluations in the ledger, in a process that has not seen it before.

python -m tests.bench.orchestration.recognise STORE EVALUATIONS
"""

from __future__ import annotations

import json
import sys
import time

from infra.store import Store
from tests.bench.orchestration import game
from tests.bench.orchestration.game import PREFIX


def main() -> int:
    """Plan with an empty ledger, which is the drawing alone, and then with the store's."""
    store, evaluations = Store(sys.argv[1]), int(sys.argv[2])
    study, partition = game.study("recognise", evaluations, 60), game.people()
    began = time.monotonic()
    game.plan(study, partition, Store("memory://nothing"))
    drawn = time.monotonic()
    plan = game.plan(study, partition, store)
    seconds = {"drawing": drawn - began, "planning": time.monotonic() - drawn}
    if plan.missing:
        raise RuntimeError(f"{len(plan.missing)} of {len(plan.jobs)} evaluations were not found")
    print(PREFIX + json.dumps(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
