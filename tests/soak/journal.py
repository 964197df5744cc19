"""What evaluating processes say of each training: one JSON line, appended in one write, so that none is ever torn.

{"at": seconds since 1970, "event": "began" | "recorded", "key": model's, "run": flow run's id, "process": number}
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

FILE = "CREDIT_SOAK_JOURNAL"  # environment variable: where the journal is


def note(event: str, key: str) -> None:
    """Append a line, if there is a journal."""
    if (path := os.environ.get(FILE)) is None:
        return
    run = os.environ.get("PREFECT__FLOW_RUN_ID", "")
    line = json.dumps({"at": time.time(), "event": event, "key": key, "run": run, "process": os.getpid()})
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(number, f"{line}\n".encode())
    finally:
        os.close(number)


def read(path: Path) -> list[dict[str, Any]]:
    """All that was written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def training(path: Path) -> set[int]:
    """Numbers of the processes that are in the middle of a training, or were when they ended."""
    last = {int(event["process"]): event["event"] for event in read(path)}
    return {process for process, event in last.items() if event == "began"}
