"""A real PostgreSQL for tests: Debian's own binaries over a temporary folder, on loopback, with a password.

PostgreSQL refuses to run as root, and a test's own folder is closed to everybody else: where the tests are root, the server
runs as `postgres` (or `nobody`) in a folder that belongs to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from infra.ports import free_port

HOST = "127.0.0.1"
DEBIAN = Path("/usr/lib/postgresql")
START_SECONDS = 60.0
OLDEST = 14  # Prefect's server needs it
MISSING = (
    f"PostgreSQL {OLDEST} or newer is not installed; `make test-servers` installs it as root on Debian, elsewhere: "
    "apt-get install postgresql"
)


def programs(below: Path) -> Path | None:
    """The folder with the newest `initdb` and `postgres`; Debian keeps them off the PATH."""
    found = {
        int(match[1]): folder
        for folder in below.glob("*/bin")
        if (match := re.fullmatch(r"(\d+)", folder.parent.name))
        and all((folder / name).exists() for name in ("initdb", "postgres", "psql"))
    }
    newest = max(found, default=0)
    return found[newest] if newest >= OLDEST else None


class Postgres:
    """One server over one new folder; stopped and started again it still has its data.

    Args:
        programs: the folder of `initdb`, `postgres` and `psql`.
    """

    def __init__(self, programs: Path) -> None:
        self.programs, self.password = programs, secrets.token_urlsafe(18)
        self.folder = Path(tempfile.mkdtemp(prefix="credit-postgres-"))
        self.log = self.folder / "log"
        self._who: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = _somebody()
            self._who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    @property
    def url(self) -> str:
        """For PREFECT_SERVER_DATABASE_CONNECTION_URL. Holds the password."""
        return f"postgresql+asyncpg://prefect:{self.password}@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it takes the password."""
        options = {"listen_addresses": HOST, "port": self.port, "unix_socket_directories": self.folder, "fsync": "off"}
        with open(self.log, "ab") as output:
            # A session of its own: Ctrl-C must reach the tests, which then end it.
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *(f"--{k}={v}" for k, v in options.items())],
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **self._surroundings(),
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, f"PostgreSQL ended while starting:\n{self.log.read_text()}"
            try:
                self.ask("SELECT 1")
                return
            except (SQLAlchemyError, OSError) as error:
                assert time.monotonic() < deadline, f"PostgreSQL does not answer: {error}\n{self.log.read_text()}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End it in good order; nothing happens if it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": does not wait for those who are still connected
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()  # its children notice, and end
                self._process.wait()
            self._process = None

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""

        async def rows() -> list[tuple[Any, ...]]:
            engine = create_async_engine(self.url)
            try:
                async with engine.connect() as connection:
                    return [tuple(row) for row in await connection.execute(text(query))]
            finally:
                await engine.dispose()

        return asyncio.run(rows())

    def remove(self) -> None:
        """Stop it, and delete what it kept."""
        self.stop()
        shutil.rmtree(self.folder)

    def _initialise(self) -> None:
        password = self.folder / "password"
        password.write_text(self.password)
        if self._who:
            os.chown(password, self._who["user"], self._who["group"])
        done = subprocess.run(
            [
                self.programs / "initdb", "--pgdata", self.folder / "data", "--username=prefect", "--pwfile", password,
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            capture_output=True, text=True, **self._surroundings(),
        )  # fmt: skip
        password.unlink()
        assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"

    def _surroundings(self) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {"cwd": self.folder, "env": {**kept, "HOME": str(self.folder)}, **self._who}


@contextlib.contextmanager
def running_postgres(below: Path = DEBIAN) -> Iterator[Postgres]:
    """A server for the length of the block. Where it is not installed the test is skipped; in CI it fails."""
    where = programs(below)
    if where is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    server = Postgres(where)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _somebody() -> pwd.struct_passwd:
    """A user of this machine who is not root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail("PostgreSQL does not run as root, and this machine has neither the user postgres nor nobody")
