"""What is sent with an announcement, to a server that wants to know who asks."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.announce import NotAnnounced, announce
from infra.uploads import Upload, UploadedFile

UPLOAD = Upload(collection="spring", contributor="Bob", files=(UploadedFile(name="a.png", sha256="ab" * 32, size=1),))
ACCEPTED = {"Basic " + base64.b64encode(b"admin:secret").decode(), "Bearer pnu_1"}


class Guarded(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204 if self.headers["Authorization"] in ACCEPTED else 401)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.parametrize("who", [{"PREFECT_API_AUTH_STRING": "admin:secret"}, {"PREFECT_API_KEY": "pnu_1"}])
def test_a_server_with_a_password_is_told_it(who: dict[str, str], api: str) -> None:
    assert announce(UPLOAD, {"PREFECT_API_URL": f"{api}/", **who}) == api


def test_a_refusal_names_the_setting_and_never_the_secret(api: str) -> None:
    with pytest.raises(NotAnnounced, match=r"401.*PREFECT_API_AUTH_STRING") as error:
        announce(UPLOAD, {"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": "admin:wrong"})
    assert "wrong" not in str(error.value)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "http://[broken", "http://", "nonsense"])
def test_an_address_that_is_none_is_said(address: str) -> None:
    with pytest.raises(NotAnnounced, match=r"PREFECT_API_URL is no address|does not answer"):
        announce(UPLOAD, {"PREFECT_API_URL": address})
