"""One target for a while: rounds of examples, each from a seed of its own. Its standard output is JSON, a line each:

    {"examples": 1200}                                     so far
    {"failed": "AssertionError: …", "seed": 77, "file": "…"}      a finding; the input is in the file

The input at hand is always in the file, so that it is there also after a crash.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded

from tests.fuzz.kept import packed
from tests.fuzz.targets import Target, bounded, targets

ROUND = 100  # examples of one seed
MEMORY = 8 * 2**30  # bytes of address space: what takes all memory ends this process, not the machine


def run(name: str, seed: int, seconds: float, at_hand: Path, rounds: int | None = None) -> int:
    """Rounds of a target until the time is up (or so many rounds are done). 1 if something was found."""
    faulthandler.enable()
    warnings.simplefilter("ignore")  # Pillow's, of what is damaged
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    target = targets()[name]
    end, examples, done = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end and (rounds is None or done < rounds):
        found, count = one_round(target, seed + done, at_hand, end if rounds is None else None)
        examples, done = examples + count, done + 1
        print(json.dumps({"examples": examples, "seed": seed + done}), flush=True)
        if found is not None:
            print(json.dumps({"failed": found, "seed": seed + done - 1, "file": str(at_hand)}), flush=True)
            return 1
    return 0


def one_round(target: Target, seed: int, at_hand: Path, end: float | None = None) -> tuple[str | None, int]:
    """What was found with one seed, if anything, and how many examples were tried. The smallest input that shows it is in
    the file then."""
    count = 0

    def check(example: Any) -> None:
        nonlocal count
        if end is not None and time.monotonic() > end:
            return  # the time is up: the rest of the round passes
        count += 1
        at_hand.write_bytes(packed(example))
        bounded(target.check, example)

    wanted = settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    try:
        seeded(seed)(wanted(given(target.inputs())(check)))()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        shown = "".join(traceback.format_exception(error, limit=-6))
        return f"{type(error).__name__}: {str(error)[:2000]}\n{shown[-4000:]}", count
    return None, count
