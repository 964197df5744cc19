"""The licence of every package in requirements.lock, from its metadata as installed, held against policy.toml.

Metadata say it in three places: `License-Expression` (SPDX, today's way), `License` (a name, or a whole text), and in
classifiers. The first that says something counts. A package that says nothing anywhere is "unknown", and fails unless
policy.toml says why it may be used all the same. Packages whose marker excludes this machine (another system or Python) are
listed as not installed: their metadata are not here, and nobody has judged them.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
POLICY = Path(__file__).with_name("policy.toml")
UNKNOWN, ABSENT = "unknown", "not installed here"
_YES = "allowed"  # stands for parentheses that have been judged
_LONGEST = 60  # characters of a licence's name; what is longer is its text


@dataclass(frozen=True)
class Package:
    """One line of the lock. licence: as an expression of SPDX identifiers, UNKNOWN, or ABSENT."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True)
class Verdict:
    """trouble: what is wrong, None if it may be used. reason: of the exception under which it may."""

    package: Package
    trouble: str | None
    reason: str | None = None


def read_policy(path: Path = POLICY) -> dict[str, Any]:
    """The policy.

    Raises:
        ValueError: if an exception lacks one of its fields.
    """
    policy = tomllib.loads(path.read_text(encoding="utf-8"))
    needed = {"exceptions": ("name", "licence", "reason"), "vulnerabilities": ("id", "name", "reason", "until")}
    for section, fields in needed.items():
        for entry in policy.get(section, []):
            if missing := [field for field in fields if not entry.get(field)]:
                raise ValueError(f"{path.name}: {section}: {entry} lacks {', '.join(missing)}")
    return policy


def locked(lock: Path = LOCK) -> list[Requirement]:
    """What the lock names, one for each line; two of the same name have markers that exclude each other.

    Raises:
        ValueError: if a line does not pin one version.
    """
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if re.match(r"[A-Za-z0-9]", line)]
    found = [Requirement(line.removesuffix("\\").strip()) for line in lines]
    for requirement in found:
        if [each.operator for each in requirement.specifier] != ["=="]:
            raise ValueError(f"{lock.name}: '{requirement}' is no single version")
    return found


def packages(requirements: Sequence[Requirement], spellings: Mapping[str, str]) -> list[Package]:
    """Each with the licence of what is installed.

    Raises:
        ValueError: if something that the lock has for this machine is not installed, or in another version.
    """
    found = []
    for requirement in requirements:
        (pin,) = requirement.specifier
        name, version = canonicalize_name(requirement.name), pin.version
        if requirement.marker is not None and not requirement.marker.evaluate():
            found.append(Package(name, version, ABSENT))
            continue
        try:
            metadata: Any = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(f"{name} {version} is in requirements.lock and not installed: make setup") from error
        if metadata["Version"] != version:
            raise ValueError(
                f"{name} is installed as {metadata['Version']}, requirements.lock has {version}: make setup"
            )
        classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
        expression, licence = metadata.get("License-Expression"), metadata.get("License")
        found.append(Package(name, version, licence_of(expression, licence, classifiers, spellings)))
    return sorted(found, key=lambda package: (package.name, package.version))


def licence_of(
    expression: str | None, licence: str | None, classifiers: Sequence[str], spellings: Mapping[str, str]
) -> str:
    """What metadata say, as an SPDX expression where they can be understood; else in their own words, or UNKNOWN.

    Several classifiers are alternatives where nothing says otherwise: that is how packages under two licences use them.
    """
    if expression:
        return expression.strip()
    names = [each.rpartition("::")[2].strip() for each in classifiers]
    named = [name for name in names if name not in ("OSI Approved", "DFSG approved")]
    said = (licence or "").strip()
    title = said.partition("\n")[0].strip()  # of a whole text
    if title in spellings:
        return spellings[title]
    if said and len(said) <= _LONGEST and "\n" not in said:
        try:
            return canonicalize_license_expression(said)
        except InvalidLicenseExpression:
            if said != "UNKNOWN" and not named:
                return said
    return " OR ".join(dict.fromkeys(_short(spellings.get(name, name)) for name in named)) or UNKNOWN


def judge(package: Package, policy: Mapping[str, Any]) -> Verdict:
    """Whether a package may be used."""
    for exception in policy.get("exceptions", []):
        if fnmatch.fnmatchcase(package.name, exception["name"]) and package.licence == exception["licence"]:
            return Verdict(package, None, exception["reason"])
    if package.licence == ABSENT or _allowed(package.licence, frozenset(policy["allowed"])):
        return Verdict(package, None)
    if package.licence == UNKNOWN:
        return Verdict(package, "its metadata say no licence: read the one in its wheel or repository")
    return Verdict(package, f"its licence is {package.licence}, which is not allowed")


def unused(verdicts: Sequence[Verdict], policy: Mapping[str, Any]) -> list[str]:
    """Exceptions under which nothing is used any more, by name: they would let in what nobody has looked at."""
    excepted = {verdict.package.name for verdict in verdicts if verdict.reason}
    names = [exception["name"] for exception in policy.get("exceptions", [])]
    return [name for name in names if not any(fnmatch.fnmatchcase(each, name) for each in excepted)]


def _allowed(expression: str, allowed: frozenset[str]) -> bool:
    """AND needs all, OR one of them; AND binds more closely. What parentheses hold must be allowed on its own."""
    text = expression
    while inner := re.search(r"\(([^()]*)\)", text):
        text = text.replace(inner.group(0), _YES if _allowed(inner.group(1), allowed) else "refused")
    fine = allowed | {_YES}
    return any(
        all(part.strip() in fine for part in re.split(r"\s+AND\s+", choice)) for choice in re.split(r"\s+OR\s+", text)
    )


def _short(classifier: str) -> str:
    """A GPL classifier without its long name, which holds parentheses of its own."""
    known = {
        "GNU General Public License (GPL)": "GPL",
        "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
        "Artistic License": "Artistic License",
    }
    return known.get(classifier, classifier)
