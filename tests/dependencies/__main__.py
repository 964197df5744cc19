"""`python -m tests.dependencies`: 0 if all may be used and nothing vulnerable is known, 1 if not, 3 if nobody could tell.

--pip-audit names pip-audit's executable; without it only licences are looked at. It asks PyPI, or the service of --osv-url.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.addresses import holds_secret
from tests.dependencies.audit import NotAsked, audit, unaccepted
from tests.dependencies.licences import ABSENT, POLICY, Package, judge, locked, packages, read_policy, unused

NOT_ASKED = 3


def main() -> int:
    """Look at licences, and at vulnerabilities if there is somebody to ask."""
    parser = argparse.ArgumentParser(prog="python -m tests.dependencies", description=__doc__)
    parser.add_argument("--pip-audit", type=Path, metavar="PROGRAM", help="pip-audit, of an environment of its own")
    parser.add_argument(
        "--osv-url", metavar="URL", help="ask this service, which speaks OSV, such as https://api.osv.dev/v1/query"
    )
    parser.add_argument("--policy", type=Path, default=POLICY, metavar="FILE", help="instead of our policy.toml")
    parser.add_argument("--list", action="store_true", help="name every package with its licence")
    arguments = parser.parse_args()
    if arguments.osv_url is not None:
        if arguments.pip_audit is None:
            parser.error("--osv-url needs --pip-audit")
        if where := holds_secret(arguments.osv_url):
            parser.error(f"--osv-url holds {where}: leave it out, pip-audit takes name and password from ~/.netrc")
    policy = read_policy(arguments.policy)
    found = packages(locked(), policy["spellings"])
    code = _licences(found, policy, arguments.list)
    if arguments.pip_audit is None:
        return code
    return _vulnerabilities(found, policy, arguments.pip_audit, arguments.osv_url, code)


def _licences(found: Sequence[Package], policy: Mapping[str, Any], everything: bool) -> int:
    verdicts = [judge(package, policy) for package in found]
    for verdict in verdicts:
        package = verdict.package
        if everything or verdict.trouble or verdict.reason:
            print(
                f"{package.name:34}{package.version:18}{package.licence}" + (" (exception)" if verdict.reason else "")
            )
    print("\nexceptions:")
    for each in policy["exceptions"]:
        print(f"{each['name']:34}{each['licence']}\n{'':34}{each['reason']}")
    print("\ndata:")
    for each in policy["data"]:
        print(f"{each['name']:70}{each['licence']}\n{'':34}{each['reason']}")
    troubles = [f"{v.package.name} {v.package.version}: {v.trouble}" for v in verdicts if v.trouble]
    troubles += [
        f"policy.toml has an exception for '{name}', and nothing needs it" for name in unused(verdicts, policy)
    ]
    absent = [package.name for package in found if package.licence == ABSENT]
    print(f"\nlicences: {len(verdicts)} packages of requirements.lock, {len(troubles)} troubles")
    print(f"  not judged, being for other systems or Pythons: {', '.join(absent)}")
    for trouble in troubles:
        print(f"  {trouble}", file=sys.stderr)
    if troubles:
        print(
            "read the licence; then add an exception with a reason to tests/dependencies/policy.toml, or drop the package"
        )
    return 1 if troubles else 0


def _vulnerabilities(
    found: Sequence[Package], policy: Mapping[str, Any], program: Path, osv_url: str | None, code: int
) -> int:
    try:
        bad, accepted = unaccepted(audit(found, program, osv_url), policy, datetime.date.today())
    except NotAsked as error:
        print(f"vulnerabilities: NOT CHECKED, nothing is known about them: {error}", file=sys.stderr)
        return code or NOT_ASKED
    print(f"vulnerabilities: {len(found)} packages looked up, {len(bad)} to deal with, {len(accepted)} accepted")
    for text in accepted:
        print(f"  {text}")
    for text in bad:
        print(f"  {text}", file=sys.stderr)
    return 1 if bad else code


if __name__ == "__main__":
    sys.exit(main())
