"""pip-audit itself, asking a service that answers: what `make dependencies` says then, and what of one that cannot tell.

The service is a real HTTP server on loopback that answers as OSV does (https://google.github.io/osv.dev/post-v1-query/): to
{"package": {"name", "ecosystem"}, "version"} with {"vulns": [advisory, …]}, and with {} where it knows none.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.dependencies.audit import CANARY, NotAsked, audit
from tests.dependencies.licences import POLICY, Package, locked

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".venv-audit/bin/pip-audit"
pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="needs pip-audit in .venv-audit, which `make dependencies` makes"
)

LOCKED = sorted((canonicalize_name(each.name), next(iter(each.specifier)).version) for each in locked())
# of several versions the last: the one that pip-audit is asked about in a second go
NAME, VERSION = max(each for each in LOCKED if each[0] == "numpy")


def advisory(name: str, version: str, id: str, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """One, fixed in 99.1, with the fields that OSV's answers have."""
    return {
        "schema_version": "1.7.3",
        "id": id,
        "aliases": list(aliases),
        "summary": "Made up for a test",
        "published": "2026-01-31T12:00:00Z",
        "modified": "2026-02-01T12:00:00.123456Z",
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI", "purl": f"pkg:pypi/{name}"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
                "versions": [version],
            }
        ],
    }


CANARY_NAME, CANARY_VERSION = CANARY.split("==")
ABOUT_CANARY = advisory(CANARY_NAME, CANARY_VERSION, "PYSEC-2022-10", ["CVE-2022-22817"])
# two databases on the same hole, as OSV has them
ABOUT_LOCKED = [
    advisory(NAME, VERSION, "GHSA-xxxx-yyyy-zzzz", ["CVE-2026-9001", "PYSEC-2026-9001"]),  # pip-audit makes two of them
    advisory(NAME, VERSION, "PYSEC-2026-9001", ["CVE-2026-9001", "GHSA-xxxx-yyyy-zzzz"]),
]
SENTENCE = f"{NAME} {VERSION}: PYSEC-2026-9001 (CVE-2026-9001, GHSA-xxxx-yyyy-zzzz)"

CLOSES = (0, b"")


class Service(ThreadingHTTPServer):
    """Knows `advisories`, and keeps what it was asked; after `healthy` queries it gives `then`, a status and a body."""

    def __init__(self, advisories: Sequence[dict[str, Any]], then: tuple[int, bytes] | None, healthy: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.advisories, self.then, self.healthy = advisories, then, healthy
        self.asked: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1/query"


class Answer(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer takes 40 ms

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, version = query["package"]["name"], query["version"]
        self.server.asked.append((name, version))
        if self.path != "/v1/query" or query["package"]["ecosystem"] != "PyPI":
            status, body = 404, b'{"code":5,"message":"Not Found"}'
        elif self.server.then is not None and len(self.server.asked) > self.server.healthy:
            status, body = self.server.then
        else:
            found = [
                each
                for each in self.server.advisories
                for affected in each["affected"]
                if affected["package"]["name"] == name and version in affected["versions"]
            ]
            status, body = 200, json.dumps({"vulns": found} if found else {}).encode()
        if (status, body) == CLOSES:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving(
    advisories: Sequence[dict[str, Any]], then: tuple[int, bytes] | None = None, healthy: int = 0
) -> Iterator[Service]:
    with Service(advisories, then, healthy) as service:
        threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        service.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy_and_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a proxy between us and loopback, nor anything left in the user's cache."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def command(*options: str) -> subprocess.CompletedProcess[str]:
    """What `make dependencies ARGS=…` runs."""
    line = [sys.executable, "-m", "tests.dependencies", "--pip-audit", str(PROGRAM), *options]
    return subprocess.run(line, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False)


def test_everything_in_the_lock_is_asked_about_and_passes_where_only_the_canary_is_vulnerable() -> None:
    with serving([ABOUT_CANARY]) as service:
        done = command("--osv-url", service.url)
    assert done.returncode == 0, done.stderr
    assert f"vulnerabilities: {len(LOCKED)} packages looked up, 0 to deal with, 0 accepted" in done.stdout
    assert service.asked[0] == (CANARY_NAME, CANARY_VERSION)
    assert sorted(service.asked[1:]) == LOCKED


def test_an_advisory_for_a_locked_package_fails_and_is_named_once_with_all_its_names_and_its_fix() -> None:
    with serving([ABOUT_CANARY, *ABOUT_LOCKED]) as service:
        done = command("--osv-url", service.url)
    assert done.returncode == 1
    assert f"{len(LOCKED)} packages looked up, 1 to deal with, 0 accepted" in done.stdout
    assert done.stderr.strip() == f"{SENTENCE}; fixed in 99.1"


def test_an_advisory_that_the_policy_accepts_until_a_date_to_come_passes_and_is_still_said(tmp_path: Path) -> None:
    until = datetime.date.today() + datetime.timedelta(days=30)
    policy = tmp_path / "policy.toml"
    entry = f'[[vulnerabilities]]\nid = "CVE-2026-9001"\nname = "{NAME}"\nreason = "not used"\nuntil = {until}\n'
    policy.write_text(f"{POLICY.read_text(encoding='utf-8')}\n{entry}", encoding="utf-8")
    with serving([ABOUT_CANARY, *ABOUT_LOCKED]) as service:
        done = command("--osv-url", service.url, "--policy", str(policy))
    assert done.returncode == 0, done.stderr
    assert f"{len(LOCKED)} packages looked up, 0 to deal with, 1 accepted" in done.stdout
    assert f"{SENTENCE}: accepted until {until}: not used" in done.stdout


@pytest.mark.parametrize(
    ("advisories", "then", "said"),
    [
        ([], None, f"the service knows no vulnerability of {CANARY}"),
        ([ABOUT_CANARY], (500, b""), "500 Server Error"),
        ([ABOUT_CANARY], CLOSES, "closed connection without response"),
    ],
    ids=["no advisories", "500", "closes"],
)
def test_a_service_that_cannot_tell_is_code_3_and_says_why(
    advisories: Sequence[dict[str, Any]], then: tuple[int, bytes] | None, said: str
) -> None:
    with serving(advisories, then) as service:
        done = command("--osv-url", service.url)
    assert done.returncode == 3
    assert "NOT CHECKED, nothing is known about them" in done.stderr and said in done.stderr
    assert service.asked == [(CANARY_NAME, CANARY_VERSION)]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ((503, b""), "503 Server Error"),
        (CLOSES, "without response"),
        ((200, b"<html>log in</html>"), "JSONDecodeError"),
    ],
    ids=["503", "closes", "a proxy's page"],
)
def test_a_service_that_fails_in_the_middle_has_not_been_asked(then: tuple[int, bytes], said: str) -> None:
    packages = [Package(f"some-{letter}", "1.0", "MIT") for letter in "abcd"]
    with serving([ABOUT_CANARY], then, healthy=3) as service, pytest.raises(NotAsked, match=said):
        audit(packages, PROGRAM, service.url)
    assert len(service.asked) == 4  # canary, two answered, one not


def test_an_address_that_takes_no_queries_is_named() -> None:
    with serving([ABOUT_CANARY]) as service, pytest.raises(NotAsked, match=r"404 .*for url: http://127\.0\.0\.1:\d+/$"):
        audit([Package("some-a", "1.0", "MIT")], PROGRAM, service.url.removesuffix("v1/query"))


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    done = command("--osv-url", "https://somebody:hunter2@mirror.example/v1/query")
    assert done.returncode == 2 and "~/.netrc" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
