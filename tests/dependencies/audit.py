"""Known vulnerabilities of everything in requirements.lock, as pip-audit finds them; and no silence taken for safety.

pip-audit reports "no known vulnerabilities" also where its service knows none of the packages, or is a mirror that holds no
advisories. So each package must have been looked up, and an old release that is known to be vulnerable must be found so.
A service that speaks OSV says the same of a package that it does not know as of one without advisories.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

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


def audit(packages: Sequence[Package], program: Path, osv_url: str | None = None) -> list[Vulnerability]:
    """All known vulnerabilities of these versions.

    Args:
        program: pip-audit's executable.
        osv_url: where a service that speaks OSV takes queries (…/v1/query); None for pip-audit's own, PyPI.

    Raises:
        NotAsked: if it cannot be said for each of them.
    """
    if not _ask([CANARY], program, osv_url):
        raise NotAsked(f"the service knows no vulnerability of {CANARY}, which has several: it holds no advisories")
    found, left = list[Vulnerability](), list(packages)
    while left:  # a lock for several systems may have two versions of a package, and pip-audit takes one at a time
        now = list({package.name: package for package in reversed(left)}.values())
        found += _ask([f"{package.name}=={package.version}" for package in now], program, osv_url)
        left = [package for package in left if package not in now]
    return _merged(found)


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


def _ask(lines: Sequence[str], program: Path, osv_url: str | None) -> list[Vulnerability]:
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        listed, answer = Path(folder) / "requirements.txt", Path(folder) / "answer.json"
        listed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = [str(program), "--no-deps", "--disable-pip", "--requirement", str(listed), "--progress-spinner=off"]
        if osv_url is not None:
            command += ["--vulnerability-service=osv", f"--osv-url={osv_url}"]
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
            raise NotAsked(f"pip-audit ended with code {done.returncode} and no answer: {_why(done.stderr)[:500]}")
        return read(answer.read_text(encoding="utf-8"), len(lines))


def _merged(found: Sequence[Vulnerability]) -> list[Vulnerability]:
    """Each vulnerability once, its names in order.

    Two databases of OSV's may report the same one, and pip-audit names both alike; aliases it writes in any order.
    """
    same = dict[tuple[str, str, str], list[Vulnerability]]()
    for each in found:
        same.setdefault((each.package, each.version, each.id), []).append(each)
    return [
        Vulnerability(
            *key,
            aliases=tuple(sorted({alias for each in group for alias in each.aliases})),
            fixed=tuple(sorted({version for each in group for version in each.fixed}, key=Version)),
        )
        for key, group in sorted(same.items())
    ]


def _why(said: str) -> str:
    """The line of a traceback, or of an error message, that says most.

    The last line is often only "ServiceError", which pip-audit makes of whatever an HTTP server refuses.
    """
    lines = said.strip().splitlines() or ["it says nothing"]
    errors = [line for line in lines if re.match(r"(?!WARNING)\S.*: \S", line)]
    return (errors or lines)[-1]
