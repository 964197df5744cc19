"""Known vulnerabilities of everything in requirements.lock, as pip-audit finds them; and no silence taken for safety.

pip-audit reports "no known vulnerabilities" also where its service knows none of the packages, or is a mirror that holds no
advisories. So each package must have been looked up, and an old release that is known to be vulnerable must be found so.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dependencies.licences import Package

CANARY = "pillow==9.0.0"  # PYSEC-2022-10, -168, -42979 and others
SECONDS = 600.0


class NotAsked(RuntimeError):
    """The vulnerability service was not reached, or did not know what it was asked. Nothing is known."""


@dataclass(frozen=True)
class Vulnerability:
    """One advisory for one package."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed: tuple[str, ...]


def audit(packages: Sequence[Package], program: Path) -> list[Vulnerability]:
    """All known vulnerabilities of these versions.

    Args:
        program: pip-audit's executable.

    Raises:
        NotAsked: if it cannot be said for each of them.
    """
    if not _ask([CANARY], program):
        raise NotAsked(f"the service knows no vulnerability of {CANARY}, which has several: it holds no advisories")
    found, left = list[Vulnerability](), list(packages)
    while left:  # a lock for several systems may have two versions of a package, and pip-audit takes one at a time
        now = list({package.name: package for package in reversed(left)}.values())
        found += _ask([f"{package.name}=={package.version}" for package in now], program)
        left = [package for package in left if package not in now]
    return sorted(found, key=lambda each: (each.package, each.id))


def read(answer: str, asked: int) -> list[Vulnerability]:
    """What pip-audit's JSON says.

    Raises:
        NotAsked: if it is no such JSON, or says of fewer packages than were asked about whether they are vulnerable.
    """
    try:
        rows = json.loads(answer)["dependencies"]
        skipped = [f"{row['name']} ({row['skip_reason']})" for row in rows if "skip_reason" in row]
        found = [
            Vulnerability(row["name"], row["version"], each["id"], tuple(each["aliases"]), tuple(each["fix_versions"]))
            for row in rows
            if "skip_reason" not in row
            for each in row["vulns"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise NotAsked(f"pip-audit's answer cannot be read ({error!r}): {answer[:300]!r}") from error
    if skipped:
        raise NotAsked(f"{len(skipped)} of {asked} packages could not be looked up: {'; '.join(skipped[:3])}")
    if len(rows) != asked:
        raise NotAsked(f"pip-audit looked at {len(rows)} packages of {asked}")
    return found


def unaccepted(
    found: Sequence[Vulnerability], policy: Mapping[str, Any], today: datetime.date
) -> tuple[list[str], list[str]]:
    """Vulnerabilities that must be dealt with, and those that policy.toml accepts until a date; each as a sentence."""
    bad, accepted = [], []
    for each in found:
        said = f"{each.package} {each.version}: {each.id}" + (f" ({', '.join(each.aliases)})" if each.aliases else "")
        fix = f"; fixed in {', '.join(each.fixed)}" if each.fixed else "; no version fixes it yet"
        entries = [
            entry
            for entry in policy.get("vulnerabilities", [])
            if entry["name"] == each.package and entry["id"] in (each.id, *each.aliases)
        ]
        if not entries:
            bad.append(said + fix)
        elif entries[0]["until"] < today:
            bad.append(f"{said}{fix}; it was accepted until {entries[0]['until']}: {entries[0]['reason']}")
        else:
            accepted.append(f"{said}: accepted until {entries[0]['until']}: {entries[0]['reason']}")
    return bad, accepted


def _ask(lines: Sequence[str], program: Path) -> list[Vulnerability]:
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        listed, answer = Path(folder) / "requirements.txt", Path(folder) / "answer.json"
        listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [str(program), "--no-deps", "--disable-pip", "--requirement", str(listed), "--progress-spinner=off"]
        try:
            done = subprocess.run(
                [*command, "--format=json", f"--output={answer}"],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise NotAsked(f"there is no {program}: `make dependencies` makes its environment") from error
        except subprocess.TimeoutExpired as error:
            raise NotAsked(f"pip-audit did not end within {SECONDS:.0f} s") from error
        if not answer.exists():
            last = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
            raise NotAsked(f"pip-audit ended with code {done.returncode} and no answer: {last[:500]}")
        return read(answer.read_text(encoding="utf-8"), len(lines))
