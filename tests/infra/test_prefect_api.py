"""A Prefect server that is away: a flow's client outlasts it, and what is only for people to see is no reason to fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.deploy import _say_automations, _zombies
from infra import prefect_api
from infra.job_templates import KINDS, POOLS, job_template
from infra.patience import PATIENCE
from infra.ports import free_port
from infra.prefect_api import BRIEF, UNANSWERED, briefly, client, patiently, show
from infra.server import CLIENT_RETRIES, HOST, environment, environment_of_flows

LEAST = 0.8  # of a pause: Prefect's jitter


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a server that is not there; requests to it are not made again."""
    url = f"http://{HOST}:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield url


def test_a_flows_client_asks_for_as_long_as_a_server_may_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_CLIENT_MAX_RETRIES", raising=False)
    assert LEAST * sum(2**n for n in range(1, int(CLIENT_RETRIES) + 1)) > PATIENCE
    assert environment_of_flows()["PREFECT_CLIENT_MAX_RETRIES"] == CLIENT_RETRIES
    assert "PREFECT_CLIENT_MAX_RETRIES" not in environment()  # whoever only asks hears at once that nobody answers
    for kind in KINDS:
        for pool in POOLS:
            assert job_template(kind, pool)["job_configuration"]["env"]["PREFECT_CLIENT_MAX_RETRIES"] == CLIENT_RETRIES


def test_an_artifact_that_nobody_takes_is_a_warning(nobody: str) -> None:
    said: list[str] = []
    show(lambda: create_markdown_artifact("text", key="statement-small"), "the statement", said.append)
    assert len(said) == 1 and said[0].startswith("the statement is not in the Prefect UI: ConnectError")


def test_what_is_wrong_with_an_artifact_itself_is_an_error(nobody: str) -> None:
    with pytest.raises(ZeroDivisionError):
        show(lambda: 1 // 0, "the statement", print)


def test_whoever_waits_is_told_however_patient_the_client_is(nobody: str) -> None:
    seen: list[int] = []
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: int(CLIENT_RETRIES)}):

        def ask() -> str:
            seen.append(PREFECT_CLIENT_MAX_RETRIES.value())
            return "there"

        assert patiently(ask, print, PATIENCE) == "there"
        assert seen == [BRIEF] and PREFECT_CLIENT_MAX_RETRIES.value() == int(CLIENT_RETRIES)
        began = time.monotonic()
        with briefly(), pytest.raises(httpx.TransportError), client() as server:
            server.read_automations()
        assert time.monotonic() - began < 60  # 6 s of pauses; of the patient one, a thousand


def test_automations_that_cannot_be_made_are_a_warning_in_the_summary(
    nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with SyncPrefectClient(nobody) as server:
        _say_automations(_zombies(server, ["attribute"]))
    said = capsys.readouterr().out
    assert "WARNING: there are none" in said and "All else is deployed" in said


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, bytes]]]:
    """What stands before a server gives these answers, the first one first, and then the server's."""
    answers: list[tuple[int, bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.pop(0) if answers else (200, b'"hello"')
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setattr(prefect_api, "BRIEF", 0)
    with ThreadingHTTPServer((HOST, free_port()), Answers) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://{HOST}:{there.server_port}/api"}):
            yield answers
        there.shutdown()


def hello() -> object:
    with client() as server:
        return server.hello().json()


@pytest.mark.parametrize("answer", [(429, b"too many"), (408, b""), (502, b""), (200, b"<html>it starts</html>")])
def test_what_is_refused_for_now_or_answered_by_a_gateway_is_asked_again(
    gateway: list[tuple[int, bytes]], answer: tuple[int, bytes]
) -> None:
    gateway.append(answer)
    with pytest.raises(UNANSWERED), briefly():
        hello()
    gateway.append(answer)
    said: list[str] = []
    assert patiently(hello, said.append, 30) == "hello" and not gateway and said


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_what_is_refused_for_good_is_not_asked_again(gateway: list[tuple[int, bytes]], status: int) -> None:
    gateway += [(status, b"{}")] * 2
    with pytest.raises((PrefectHTTPStatusError, ObjectNotFound)):
        patiently(hello, print, 30)
    assert len(gateway) == 1
