"""The Prefect server of our own: started where none answers, gone afterwards, and nothing else taken for one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra import server
from infra.ports import free_port
from infra.server import ServerError, answers, check_welcome, environment, running_server


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """A free port, set as the local server's; Prefect's files in a folder of the test's own."""
    number = free_port()
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", str(number))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return number


@contextmanager
def serving(port: int, reply: bytes) -> Iterator[None]:
    """Something at `port` that answers every connection with the same bytes."""

    class Same(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(reply)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True  # one after another in a test

    with Server((server.HOST, port), Same) as there:
        threading.Thread(target=there.serve_forever, args=(0.02,), daemon=True).start()
        yield
        there.shutdown()


def reply(status: str, kind: str, body: str) -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.servers
@pytest.mark.slow
def test_a_server_is_started_answers_is_used_again_and_is_gone_afterwards(port: int, tmp_path: Path) -> None:
    log = tmp_path / "log/server.log"
    with running_server(log) as ours:
        assert ours
        assert answers(f"http://{server.HOST}:{port}/api")
        with running_server(log) as second:
            assert not second
        assert answers(f"http://{server.HOST}:{port}/api")
    assert not answers(f"http://{server.HOST}:{port}/api")
    assert (tmp_path / "prefect/prefect.db").exists()
    assert log.exists()


@pytest.mark.parametrize(
    ("what", "is_prefect"),
    [
        (reply("200 OK", "application/json", "true"), True),
        (reply("401 Unauthorized", "application/json", "{}"), True),  # it has a password, which the flow has too
        (reply("200 OK", "text/html", "<h1>a web front end in development</h1>"), False),
        (reply("404 Not Found", "application/json", "{}"), False),
        (reply("503 Service Unavailable", "application/json", "{}"), False),
        (b"220 mail ready\r\n", False),
        (b"", False),
    ],
)
def test_only_a_prefect_api_is_taken_for_one(port: int, what: bytes, is_prefect: bool) -> None:
    with serving(port, what):
        assert answers(f"http://{server.HOST}:{port}/api") is is_prefect


@pytest.mark.parametrize("known", ["PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"])
def test_an_api_that_takes_another_password_is_an_error_that_says_what_to_set_and_not_the_secret(
    port: int, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(known, "somebody:wrong")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{server.HOST}:{port}/api")
    with serving(port, reply("401 Unauthorized", "application/json", "{}")):
        with pytest.raises(ServerError, match=f"another .* than {known} has.*set PREFECT_API_AUTH_STRING") as refused:
            check_welcome()
        assert "wrong" not in str(refused.value)
        # Passwords may also stand where only Prefect looks; then the flow is told.
        monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", "{}")
        check_welcome()
        monkeypatch.delenv("PREFECT_CLIENT_CUSTOM_HEADERS")
        monkeypatch.delenv(known)
        check_welcome()
    with serving(port, reply("200 OK", "application/json", '"3.8.8"')):
        check_welcome()


def test_loopback_is_never_asked_through_a_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(port, reply("200 OK", "application/json", "true")):
        assert answers(f"http://{server.HOST}:{port}/api")
    assert "127.0.0.1" in environment()["NO_PROXY"].split(",")


def test_an_api_that_was_asked_for_and_does_not_answer_is_an_error(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://{server.HOST}:{port}/api")
    with pytest.raises(ServerError, match="no Prefect API answers there"), running_server():
        pass


@pytest.mark.parametrize("url", ["nonsense", "file:///etc/passwd", "ftp://x/api"])
def test_an_api_address_that_is_none_is_an_error(port: int, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(ServerError, match="must be an address"), running_server():
        pass


@pytest.mark.parametrize("number", ["", "x", "-1", "0", "70000", "4200.0"])
def test_a_port_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_PORT", number)
    with pytest.raises(ServerError, match="set it to a free port"):
        server.port()


def test_prefects_files_stay_below_our_folder_and_the_server_on_loopback(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME")
    there = environment()
    assert Path(there["PREFECT_HOME"]) == (server.STATE_FOLDER / "prefect").absolute()
    assert there["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert there["PREFECT_API_URL"] == f"http://127.0.0.1:{port}/api"
    assert there["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
