"""A dependency under a licence that nobody has read does not pass, and silence is never taken for an answer."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from tests.dependencies.audit import NotAsked, Vulnerability, audit, read, unaccepted
from tests.dependencies.licences import (
    UNKNOWN,
    Package,
    judge,
    licence_of,
    locked,
    packages,
    read_policy,
    unused,
)

POLICY = read_policy()
SPELLINGS = POLICY["spellings"]


def test_everything_in_the_lock_is_installed_and_under_a_licence_that_the_policy_allows() -> None:
    found = packages(locked(), SPELLINGS)
    assert len(found) > 100
    verdicts = [judge(package, POLICY) for package in found]
    assert [verdict for verdict in verdicts if verdict.trouble] == []


@pytest.mark.parametrize(
    ("licence", "word"),
    [
        ("GPL-3.0-only", "GPL-3.0-only"),
        ("MIT AND GPL-3.0-only", "GPL-3.0-only"),
        ("AGPL-3.0-or-later", "AGPL"),
        ("MIT AND (GPL-2.0-only OR AGPL-3.0-only)", "AGPL"),
        (UNKNOWN, "no licence"),
        ("LicenseRef-NVIDIA-Proprietary", "NVIDIA"),
    ],
)
def test_a_new_dependency_that_is_not_allowed_is_named(licence: str, word: str) -> None:
    verdict = judge(Package("brand-new", "1.0", licence), POLICY)
    assert verdict.trouble is not None and word in verdict.trouble


@pytest.mark.parametrize("licence", ["MIT", "GPL-3.0-only OR MIT", "MIT AND (GPL-3.0-only OR ISC)", "MPL-2.0 AND MIT"])
def test_what_is_allowed_passes_also_where_there_is_a_choice(licence: str) -> None:
    assert judge(Package("brand-new", "1.0", licence), POLICY).trouble is None


def test_an_exception_ends_when_the_licence_changes_and_is_named_when_nothing_needs_it() -> None:
    policy = {"allowed": ["MIT"], "exceptions": [{"name": "one-*", "licence": "Odd", "reason": "because"}]}
    assert judge(Package("one-a", "1", "Odd"), policy).reason == "because"
    assert judge(Package("one-a", "2", "Odder"), policy).trouble is not None
    assert unused([judge(Package("one-a", "1", "Odd"), policy)], policy) == []
    assert unused([judge(Package("two", "1", "MIT"), policy)], policy) == ["one-*"]


def test_an_exception_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('allowed = []\n[[exceptions]]\nname = "x"\nlicence = "y"\nreason = ""\n')
    with pytest.raises(ValueError, match="lacks reason"):
        read_policy(path)


def test_metadata_in_all_their_ways_are_understood_and_silence_is_unknown() -> None:
    mit, gpl = "License :: OSI Approved :: MIT License", "License :: OSI Approved :: GNU General Public License (GPL)"
    assert licence_of("MIT AND PSF-2.0", "something else", [gpl], SPELLINGS) == "MIT AND PSF-2.0"
    assert licence_of(None, "Apache License, Version 2.0", [], SPELLINGS) == "Apache-2.0"
    assert licence_of(None, "bsd-3-clause", [], SPELLINGS) == "BSD-3-Clause"
    assert licence_of(None, "Copyright (c) somebody\nlong text", [mit], SPELLINGS) == "MIT"
    assert licence_of(None, "MIT License\n\nCopyright (c) somebody\n", [], SPELLINGS) == "MIT"
    assert licence_of(None, "My Own Terms", [], SPELLINGS) == "My Own Terms"
    assert licence_of(None, "UNKNOWN", [], SPELLINGS) == licence_of(None, None, [], SPELLINGS) == UNKNOWN
    assert licence_of(None, None, [mit, gpl], SPELLINGS) == "MIT OR GPL"


def test_a_lock_that_pins_no_single_version_and_one_that_is_not_installed_are_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy>=2 \\\n    --hash=sha256:00\n")
    with pytest.raises(ValueError, match="no single version"):
        locked(lock)
    lock.write_text("surely-not-installed==1.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(ValueError, match="not installed: make setup"):
        packages(locked(lock), SPELLINGS)
    lock.write_text("numpy==0.0.1 \\\n    --hash=sha256:00\n")
    with pytest.raises(ValueError, match=r"numpy is installed as .*, requirements.lock has 0.0.1"):
        packages(locked(lock), SPELLINGS)


SKIPPED = json.dumps({"dependencies": [{"name": "a", "skip_reason": "Dependency not found on PyPI"}]})
CLEAN = json.dumps({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
FOUND = json.dumps(
    {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "P-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}]}
        ]
    }
)


def test_a_service_that_knows_none_of_the_packages_has_said_nothing() -> None:
    assert read(CLEAN, 1) == []
    for answer, asked in ((SKIPPED, 1), (CLEAN, 2), ("<html>", 1), ("{}", 1)):
        with pytest.raises(NotAsked):
            read(answer, asked)


def test_a_service_without_advisories_is_found_out_and_so_is_a_missing_program(tmp_path: Path) -> None:
    program = tmp_path / "pip-audit"
    answer = json.dumps({"dependencies": [{"name": "pillow", "version": "9.0.0", "vulns": []}]})
    program.write_text(f"#!/bin/sh\nfor last; do :; done\necho '{answer}' > \"${{last#--output=}}\"\n")
    program.chmod(0o700)
    with pytest.raises(NotAsked, match="holds no advisories"):
        audit([Package("a", "1", "MIT")], program)
    with pytest.raises(NotAsked, match="make dependencies"):
        audit([Package("a", "1", "MIT")], tmp_path / "absent")


def test_a_vulnerability_is_accepted_by_any_of_its_names_and_only_until_its_date() -> None:
    (found,) = read(FOUND, 1)
    assert found == Vulnerability("a", "1", "P-1", ("CVE-1",), ("2",))
    until = datetime.date(2030, 1, 31)
    policy = {"vulnerabilities": [{"id": "CVE-1", "name": "a", "reason": "not used", "until": until}]}
    assert unaccepted([found], {}, until)[0] == ["a 1: P-1 (CVE-1); fixed in 2"]
    assert unaccepted([found], policy, until)[0] == []
    late, _ = unaccepted([found], policy, until + datetime.timedelta(days=1))
    assert len(late) == 1 and "accepted until 2030-01-31: not used" in late[0]
