"""Hostile input for as long as it is given: `python -m tests.fuzz --minutes 60`.

Exit code 1 if something was found. The input lies then in .hypothesis/findings, and is tried again with

    python -m tests.fuzz --again .hypothesis/findings/<name>
    python -m tests.fuzz --target images --seed 77        the same examples again, shrunk again
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.kept import unpacked
from tests.fuzz.targets import NAMES, SECONDS, bounded, targets

SLICE = 60.0  # seconds of one target at a time
FINDINGS = Path(".hypothesis/findings")


def main() -> int:
    """Fuzz; 0 if nothing was found, 1 if something was, 2 if something else went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Hostile input from a generator.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long; default: %(default)s")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one; may be given again")
    parser.add_argument("--seed", type=int, help="the first seed; a random one if not given")
    parser.add_argument("--again", type=Path, metavar="FILE", help="try one finding again")
    parser.add_argument("--inside", nargs=3, metavar=("SECONDS", "FILE", "ROUNDS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.again:
        return _again(arguments.again)
    names = arguments.target or list(NAMES)
    if arguments.inside:
        from tests.fuzz.inside import run

        seconds, file, rounds = arguments.inside
        return run(names[0], arguments.seed, float(seconds), Path(file), int(rounds) or None)
    once = arguments.seed is not None and arguments.target is not None
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    return fuzz(names, seed, 60 * arguments.minutes, rounds=1 if once else 0)


def fuzz(names: list[str], seed: int, seconds: float, *, rounds: int = 0, slice_seconds: float = SLICE) -> int:
    """Each target in turn, a slice of the time each, until it is over; then how many examples each of them had."""
    began = time.monotonic()
    count, spent = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    findings, turn = 0, 0
    print(f"seed {seed}: {', '.join(names)}, {seconds / 60:g} minutes", flush=True)
    while (left := seconds - (time.monotonic() - began)) > 0 and (not rounds or turn < len(names)):
        name = names[turn % len(names)]
        part = min(left, slice_seconds, max(5.0, seconds / len(names)))
        started = time.monotonic()
        found, examples = _one(name, seed + 1_000_000 * turn, part, rounds)
        count[name] += examples
        spent[name] += time.monotonic() - started
        findings += found
        turn += 1
        left = max(0.0, seconds - (time.monotonic() - began))
        print(f"{name}: {count[name]:,} examples, {findings} findings, {left:.0f} s left", flush=True)
    for name in names:
        if spent[name]:
            print(f"{name}: {count[name]:,} examples, {60 * count[name] / spent[name]:,.0f} a minute")
    print(f"{findings} findings" + (f", in {FINDINGS}" if findings else ""))
    return 1 if findings else 0


def _one(name: str, seed: int, seconds: float, rounds: int) -> tuple[int, int]:
    """A process for one target. Returns findings and examples."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        at_hand = Path(scratch) / "input"
        command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--seed", str(seed)]
        command += ["--inside", str(seconds), str(at_hand), str(rounds)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(scratch)
        )
        try:
            output, errors = process.communicate(timeout=seconds + 10 * SECONDS)
            ended = f"it ended with code {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            ended = "it hung"
        said = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        examples = max((line["examples"] for line in said if "examples" in line), default=0)
        failed = [line for line in said if "failed" in line]
        if process.returncode == 0 and not failed:
            return 0, examples
        reached = [line["seed"] for line in said if "seed" in line]
        at = failed[0]["seed"] if failed else reached[-1] if reached else seed
        reason = failed[0]["failed"] if failed else f"{ended}\n{errors[-4000:]}"
        _keep(name, at, reason, at_hand)
        return 1, examples


def _keep(name: str, seed: int, reason: str, at_hand: Path) -> None:
    FINDINGS.mkdir(parents=True, exist_ok=True)
    kept = FINDINGS / f"{name}-{seed}"
    if at_hand.exists():
        shutil.copyfile(at_hand, kept)
    kept.with_suffix(".txt").write_text(reason)
    print(f"\nFOUND by {name}, seed {seed}:\n{reason}\n", flush=True)
    print(f"the input again:    python -m tests.fuzz --again {kept}")
    print(f"the examples again: python -m tests.fuzz --target {name} --seed {seed}\n", flush=True)


def _environment(scratch: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": scratch, "OMP_NUM_THREADS": "1"}  # all that it writes goes with the process


def _again(path: Path) -> int:
    name = path.name.rpartition("-")[0]
    example = unpacked(path.read_bytes())
    print(f"{name}: {str(example)[:2000]!r}")
    bounded(targets()[name].check, example)
    print("nothing is found with it any more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
