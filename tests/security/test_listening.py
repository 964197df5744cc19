"""Servers that we start listen on loopback; told otherwise, the Prefect server asks for a password or does not start.

The S3 server: tests/infra/test_s3_server.py. The whole stack: tests/infra/test_stack.py. Compose and charts, as rendered:
tests/infra/test_compose.py and test_charts.py. Here: `make ui`'s server, by the sockets of its processes.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from infra import server
from infra.ports import free_port
from infra.server import ServerError, api_url, environment, listens_on, running_server

PASSWORD = "somebody:planted-6c1d9e"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """A free port, and nothing of this machine's own settings."""
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_HOST", server.AUTH):
        monkeypatch.delenv(name, raising=False)
    found = free_port()
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", str(found))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return found


def listening(before: set[int]) -> set[tuple[str, int]]:
    """Addresses and ports on which processes listen that this one has started since."""
    found: set[tuple[str, int]] = set()
    for process in psutil.Process().children(recursive=True):
        if process.pid not in before:
            found |= {
                (c.laddr.ip, c.laddr.port) for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN
            }
    return found


@pytest.mark.parametrize("host", ["", " ", "127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_loopback_needs_no_password(port: int, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", host)
    assert environment()["PREFECT_SERVER_API_HOST"] == (host.strip() or "127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "credit.example.org", "2130706433"])
@pytest.mark.parametrize("password", ["", ":", "user", "user:", ":secret"])
def test_elsewhere_without_a_password_nothing_is_started_and_it_says_what_to_set(
    port: int, host: str, password: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", host)
    monkeypatch.setenv(server.AUTH, password)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    for start in (environment, listens_on, api_url, running_server(tmp_path / "log").__enter__):
        with pytest.raises(ServerError, match=r"set PREFECT_SERVER_API_AUTH_STRING to user:password") as refused:
            start()
        assert "secret" not in str(refused.value)
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_our_own_servers_password_is_not_told_to_another_server(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server.AUTH, PASSWORD)
    assert environment()["PREFECT_API_AUTH_STRING"] == PASSWORD
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api")
    assert "PREFECT_API_AUTH_STRING" not in environment()


@pytest.mark.servers
@pytest.mark.slow
@pytest.mark.parametrize("host", [None, "0.0.0.0"])
def test_the_server_listens_where_it_should_and_elsewhere_asks_for_a_password(
    port: int, host: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if host is not None:
        monkeypatch.setenv("PREFECT_SERVER_API_HOST", host)
        monkeypatch.setenv(server.AUTH, PASSWORD)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with running_server(tmp_path / "log") as ours:
        assert ours
        assert listening(before) == {(host or "127.0.0.1", port)}
        url = f"http://127.0.0.1:{port}/api/flows/count"
        request = urllib.request.Request(url, data=b"{}", headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        if host is None:
            assert opener.open(request, timeout=60).status == 200
        else:
            with pytest.raises(urllib.error.HTTPError, match="401"):
                opener.open(request, timeout=60)
    assert PASSWORD.partition(":")[2] not in (tmp_path / "log").read_text()
