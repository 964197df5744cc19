"""A reference training in a process of its own, which a test kills: `python -m tests.reference.killed_training <store>`.

It says on standard output when it has saved, and is slow enough to be killed between two saves.
"""

import sys
import time

from infra.store import Store
from tasks.reference.reference import obtain_reference
from tests.model.building import reference_recipe_of, tiny_data, tiny_study


def main() -> None:
    store = Store(sys.argv[1])
    study = tiny_study(model={"train_steps": 40}, execution={"device": "cpu", "checkpoint_seconds": 1e-9})

    def progress(step: int, steps: int, loss: float) -> None:
        print(step, flush=True)
        time.sleep(0.05)

    obtain_reference(study, reference_recipe_of(study), tiny_data, store, say=print, progress=progress)


if __name__ == "__main__":
    main()
