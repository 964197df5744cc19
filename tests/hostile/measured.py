"""What something costs, measured in a process of its own: seconds, and the most memory that it had beyond its start."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.racing import ROOT

PATIENCE = 240.0  # seconds; a machine may be slow, and what does not end takes hours
_AROUND = """
import json, sys, time
sys.path.insert(0, {root!r})

def most():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

def measured(do):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the most from now on
    before, began = most(), time.monotonic()
    said = do()
    print(json.dumps([said, time.monotonic() - began, most() - before]))

"""


@dataclass(frozen=True)
class Cost:
    """said: what the code returned. megabytes: beyond what the process had when it began."""

    said: Any
    seconds: float
    megabytes: float


def cost(code: str, *arguments: object) -> Cost:
    """Run code that ends with `measured(function)`, whose result is JSON; sys.argv[1:] are the arguments.

    Raises:
        TimeoutExpired: if it does not end.
    """
    done = subprocess.run(
        [sys.executable, "-c", _AROUND.format(root=str(ROOT)) + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


_DECODE = """
from tasks.partition.images import Refused, decode

def do():
    try:
        found = decode(data, "a.png", resolution=8, maximum_megapixels=float(sys.argv[2]))
    except Refused as refused:
        return [refused.kind, str(refused)]
    return ["used", f"{found.width} x {found.height}"]

data = open(sys.argv[1], "rb").read()
measured(do)
"""


def decoded(data: bytes, scratch: Path, maximum_megapixels: float = 100) -> Cost:
    """Decode an image; `said` is ["used", its size], or the kind of problem and its reason."""
    path = scratch / "image"
    path.write_bytes(data)
    return cost(_DECODE, path, maximum_megapixels)
