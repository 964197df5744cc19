"""What tests of several parts share: a real S3 server, started when the first test asks for it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.s3_server import S3Server

_fresh = itertools.count()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests, which each use a prefix of their own; whoever stops it has one of their own."""
    with S3Server(tmp_path_factory.mktemp("s3") / "data") as server:
        yield server


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store's URL in a bucket, with nothing below it, and the environment that finds the server."""
    use(s3_server.environment(), monkeypatch)
    yield s3_server.url(f"test-{next(_fresh)}/store")
    if {name: os.environ.get(name) for name in s3_server.environment()} != s3_server.environment():
        forget_connections()


@pytest.fixture
def own_s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that the test may stop and kill, with the environment that finds it."""
    with S3Server(tmp_path / "s3/data") as server:
        use(server.environment(), monkeypatch)
        yield server
    forget_connections()


_in_use: dict[str, str] = {}


def use(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the standard AWS chain of this process at a server: the AWS_* of `environment`."""
    if environment != _in_use:
        forget_connections()
        _in_use.update(environment)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        if name.startswith("AWS_") or name.lower() == "no_proxy":
            monkeypatch.setenv(name, value)


def forget_connections() -> None:
    """s3fs keeps its clients, with the settings they were made with, for as long as the process lives."""
    import s3fs  # takes most of a second, which tests without a bucket need not wait for

    _in_use.clear()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What families of models stand on, tiny: autoencoders `kl` and `vq`, and the pipeline `sd`; only to be read."""
    from tests.families.building import save_bases  # takes seconds, which tests without them need not wait for

    folder = tmp_path_factory.mktemp("bases")
    save_bases(folder)
    return folder


@pytest.fixture(scope="module")
def few_threads() -> Iterator[None]:
    """One thread, as all training is done; and networks as small as these are slower on two."""
    from tasks.model.threads import one_thread

    with one_thread():
        yield
