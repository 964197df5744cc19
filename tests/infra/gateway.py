"""A gateway in front of a real S3 server that drops `If-None-Match`, as some gateways and caches do, and as servers behave
that never heard of it. Requests are signed anew, or the server would notice."""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.s3_server import S3Server
from infra.server import HOST
from tests.conftest import forget_connections

_OF_THE_CONNECTION = {"host", "connection", "expect", "authorization", "content-length", "x-amz-date"}


@contextlib.contextmanager
def gateway_without_conditions(server: S3Server) -> Iterator[None]:
    """For the length of the block, AWS_ENDPOINT_URL_S3 is a gateway before `server`."""
    found = server.environment()
    credentials = Credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Gateway(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            dropped = {*_OF_THE_CONNECTION, "if-none-match"}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            request = AWSRequest(self.command, f"{server.endpoint}{self.path}", headers, body)
            S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
            sent = urllib.request.Request(request.url, body or None, dict(request.headers.items()), method=self.command)
            try:
                answer = direct.open(sent)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                content = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    before = os.environ["AWS_ENDPOINT_URL_S3"]
    with ThreadingHTTPServer((HOST, 0), Gateway) as gateway:
        threading.Thread(target=gateway.serve_forever, args=(0.02,), daemon=True).start()
        os.environ["AWS_ENDPOINT_URL_S3"] = f"http://{HOST}:{gateway.server_port}"
        forget_connections()
        try:
            yield
        finally:
            os.environ["AWS_ENDPOINT_URL_S3"] = before
            forget_connections()
            gateway.shutdown()
