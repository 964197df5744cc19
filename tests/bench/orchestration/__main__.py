"""Measure the orchestration alone: `python -m tests.bench.orchestration`, under a quarter of an hour on two cores.

Evaluations sleep, so cores are shared by the flow runs' start-up only. Every finished cell is kept, and is not measured
again by the next call; broken off, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.settings import STATE_FOLDER
from tests.bench.orchestration.cells import bench, dispatching, recognising
from tests.bench.orchestration.tables import text, write

Cell = dict[str, Any]
SMALL = {"workers": [1], "seconds": 1.0, "shard": 2.0, "evaluations": 3, "recognise": 70, "plan": 300}
PLANNERS = 2  # workers of the large plan
PLAN_SHARD = 2.0  # seconds that one of its shards takes: some hundred evaluations


def main() -> None:
    arguments = _arguments()
    wanted = list(_cells(arguments))
    done = {} if arguments.anew else _read(arguments.archive)
    missing = [cell for cell in wanted if _key(cell) not in done]
    if missing:
        with tempfile.TemporaryDirectory(prefix="credit-bench-") as folder, bench(Path(folder)) as there:
            for number, cell in enumerate(missing, 1):
                load, began = os.getloadavg()[0], time.monotonic()
                how = {name: value for name, value in cell.items() if name not in ("kind", "store")}
                measure = dispatching if cell["kind"] == "dispatching" else recognising
                record = {"cell": cell, "load": load, "result": measure(there, cell["store"], **how)}
                done[_key(cell)] = record
                _add(arguments.archive, record)
                print(f"{number} of {len(missing)}: {cell} in {time.monotonic() - began:.0f} s", flush=True)
    tables = text([done[_key(cell)] for cell in wanted])
    print(f"\n{tables}")
    if arguments.write is not None:
        write(arguments.write, tables)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.orchestration", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--stores", nargs="+", choices=("file", "s3"), default=["file", "s3"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each evaluation")
    parser.add_argument("--shard", type=float, default=30.0, help="seconds that a shard should work")
    parser.add_argument("--evaluations", type=int, default=12, help="for each worker")
    parser.add_argument("--recognise", type=int, default=1_000, help="evaluations in the ledger; 0 leaves it out")
    parser.add_argument("--plan", type=int, default=10_000, help="evaluations of a large plan; 0 leaves it out")
    parser.add_argument("--small", action="store_true", help="see that it works: little of everything, in two minutes")
    parser.add_argument("--archive", type=Path, default=STATE_FOLDER / "bench-orchestration.jsonl")
    parser.add_argument("--anew", action="store_true", help="measure again what is in the archive")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between the marks in this file")
    arguments = parser.parse_args()
    if arguments.small:
        parser.set_defaults(**SMALL)
        arguments = parser.parse_args()
    return arguments


def _cells(arguments: argparse.Namespace) -> Iterator[Cell]:
    """What is measured, the short ones first. A bucket with the most workers only: what it costs is in the shard."""
    if arguments.recognise:
        for store in arguments.stores:
            yield {"kind": "recognising", "store": store, "evaluations": arguments.recognise}
    for store in arguments.stores:
        for workers in arguments.workers if store == "file" else [max(arguments.workers)]:
            yield {
                "kind": "dispatching",
                "store": store,
                "workers": workers,
                "evaluations": arguments.evaluations * workers,
                "seconds": arguments.seconds,
                "shard_seconds": arguments.shard,
            }
    if arguments.plan:
        yield {
            "kind": "dispatching",
            "store": arguments.stores[0],
            "workers": PLANNERS,
            "evaluations": arguments.plan,
            "seconds": 0.0,
            "shard_seconds": PLAN_SHARD,
            "properties": ["heldout_loss"],
        }


def _key(cell: Cell) -> str:
    return json.dumps(cell, sort_keys=True)


def _read(archive: Path) -> dict[str, dict[str, Any]]:
    if not archive.exists():
        return {}
    lines = archive.read_text(encoding="utf-8").splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith("\n")]  # the last one may have been broken off
    return {_key(record["cell"]): record for record in records}


def _add(archive: Path, record: dict[str, Any]) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
