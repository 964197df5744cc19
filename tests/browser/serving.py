"""`make ui` in a working folder of its own: the server, and `attribute` served, with nothing of this machine's own state."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.ports import free_port
from tasks.partition.openmoji import convert
from tests.browser.pictures import PROJECT
from tests.small import DESIGNERS

READY = "Your deployments are being served"
PATIENCE = 120  # seconds


@dataclass(frozen=True)
class Served:
    """Where people find it (`url`), and the folder it works in: data/, .credit/ and serve.log."""

    url: str
    folder: Path

    @property
    def store(self) -> Path:
        """The store of its runs."""
        return self.folder / ".credit" / "store"


def lay_out(folder: Path, contributors: tuple[str, ...] = DESIGNERS, rename: dict[str, str] | None = None) -> None:
    """A working folder as a fresh checkout with data: the project's code and presets, and OpenMoji's images of these
    contributors (all of them if empty), some of whom go by other names."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("flows", "tasks", "infra", "deployments"):
        (folder / part).symlink_to(PROJECT / part, target_is_directory=True)
    data = folder / "data" / "openmoji"
    convert(data, contributors=contributors, size=64)
    table = data / "metadata.csv"
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["contributor"] = (rename or {}).get(row["contributor"], row["contributor"])
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Served]:
    """`python -m flows.serve` in `folder`, for the length of the block.

    Raises:
        RuntimeError: if it ends or is not ready within `PATIENCE` seconds; with its log.
    """
    port = free_port()
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CREDIT_"))}
    environment = {
        **ours,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PYTHONUNBUFFERED": "1",
    }
    log = folder / "serve.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serve"],
            cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while READY not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"`python -m flows.serve` is not ready:\n{log.read_text(errors='replace')}")
            time.sleep(0.3)
        yield Served(f"http://127.0.0.1:{port}", folder)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
