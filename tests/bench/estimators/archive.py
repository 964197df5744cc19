"""Finished cells on disk, one JSON object a line, so that no cell is ever measured twice and none is lost.

A record is kept under its setting, its method and a digest of the sources that decide its numbers. Digests are of the
syntax tree without docstrings: a comment or a line break makes nothing stale.
"""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
PROBLEM = ("tests/games.py", "tests/bench/estimators/problem.py")
MEASURING = {"accuracy": "tests/bench/estimators/measure.py", "join": "tests/bench/estimators/join.py"}


def source_digest(paths: Iterable[Path]) -> str:
    """sha256, 12 digits, of what Python makes of the files (path and syntax tree), in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        digest.update(f"{path.relative_to(ROOT)}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:12]


def our_digest(experiment: str) -> str:
    """Of all sources that decide what our estimators' cells of an experiment hold."""
    paths = [ROOT / path for path in (*PROBLEM, MEASURING[experiment])]
    return source_digest([*paths, *(ROOT / "tasks/shapley").rglob("*.py")])


def shapiq_digest(version: str) -> str:
    """The same for shapiq's: its version instead of our estimators."""
    paths = [ROOT / path for path in (*PROBLEM, "tests/bench/estimators/shapiq_child.py")]
    return f"{source_digest(paths)}-shapiq-{version}"


class Archive:
    """The file of finished cells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[str, Record] = {}
        if path.exists():
            text = path.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                path.write_text(text + "\n", encoding="utf-8")
            for line in text.splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line that was being written when the machine went down: measured again
                self._records[_key(record["cell"], record["digest"])] = record

    def has(self, cell: Record, digest: str) -> bool:
        return _key(cell, digest) in self._records

    def add(self, cell: Record, digest: str, result: Record) -> None:
        """Keep a finished cell; it is on disk when this returns."""
        record = {"cell": cell, "digest": digest, "at": time.strftime("%Y-%m-%d"), "result": result}
        self._records[_key(cell, digest)] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False, sort_keys=True) + "\n")

    def records(self, digests: Iterable[str]) -> list[Record]:
        """Cells that were made by these sources; the start of a digest stands for all that begin so."""
        wanted = tuple(digests)
        return [record for record in self._records.values() if record["digest"].startswith(wanted)]

    def digests(self) -> dict[str, int]:
        """How many cells there are of each digest."""
        found: dict[str, int] = {}
        for record in self._records.values():
            found[record["digest"]] = found.get(record["digest"], 0) + 1
        return found


def _key(cell: Record, digest: str) -> str:
    return json.dumps([cell, digest], sort_keys=True)
