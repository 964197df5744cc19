"""`python -m tests.soak --minutes 10`: 0 if nothing is wrong, 1 if something is, 2 if what was asked for makes no sense."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

from infra.server import end_on_terminate
from infra.stack.types import StackError
from tests.soak import faults
from tests.soak.world import World

FINISH = 900.0  # seconds after the last fault, within which every study must have its statement


def main() -> int:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Random faults against a stack of its own."
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of faults (default 10); some more to rest and compare"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the plan of faults (default 0)")
    parser.add_argument("--pace", type=float, default=20.0, help="mean seconds between two faults (default 20)")
    parser.add_argument("--folder", type=Path, help="for everything it makes; default: a new one for temporary files")
    parser.add_argument("--keep", action="store_true", help="keep the stack's files also if nothing is wrong")
    parser.add_argument("--plan", action="store_true", help="only print which faults would come")
    arguments = parser.parse_args()
    try:
        plan = faults.plan(arguments.seed, arguments.minutes, arguments.pace)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.plan:
        for fault in plan:
            print(f"{fault.at:8.1f} s  {fault.kind}" + (f", {fault.seconds} s" if fault.seconds else ""))
        return 0
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty; name a folder that is, or none", file=sys.stderr)
        return 2
    end_on_terminate()
    return soak(World(folder, _say), plan, arguments)


def soak(world: World, plan: tuple[faults.Fault, ...], arguments: argparse.Namespace) -> int:
    """Bring the stack up, soak it, end it, and report."""
    from tests.soak.studies import write_plain_data

    _say(f"everything is in {world.folder}")
    write_plain_data(world.plain_data)
    try:
        world.up()
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        from tests.soak.session import Session  # imports Prefect, which reads its settings once: now they are there

        session = Session(world, plan)
        session.run(FINISH)
    except BaseException:
        world.down()
        raise
    try:
        world.down()
    except StackError as error:
        session.troubles.append(f"the stack did not end: {error}")
    result = {"seed": arguments.seed, "minutes": arguments.minutes, "pace": arguments.pace, **session.result()}
    (world.report / "soak.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = session.table(result)
    (world.report / "soak.txt").write_text(text + "\n", encoding="utf-8")
    session.draw(world.report / "soak.png")
    print(f"\n{text}\n\n{world.report}: soak.json, soak.txt, soak.png", flush=True)
    if not result["wrong"] and not arguments.keep:
        world.clear()
    return 1 if result["wrong"] else 0


_began = time.monotonic()
_printing = threading.Lock()


def _say(text: str) -> None:
    with _printing:
        print(f"{datetime.now():%H:%M:%S} {time.monotonic() - _began:7.1f} s | {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
