"""The stack of one machine, as data: where its files are, which ports it takes, what runs in it.

.credit/stack.json    what runs, for `make stack` and `make stack-down`; no secrets
        stack.env     what a process needs to use it, with the S3 server's credentials; only while it is up
        stack.lock    held by its supervisor
        starting.lock held by whoever starts it, until it is up
        logs/         of every part
        s3/           the S3 server's data
        prefect/      Prefect's database
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from infra import server
from infra.job_templates import CPU_POOL, GPU_POOL
from infra.settings import STATE_FOLDER

BUCKET, PREFIX = "credit", "store"
S3_PORT = "CREDIT_S3_PORT"
MOST_WORKERS = 64
SETTLED, ONLINE = "settled", "online"  # what infra.stack.handshake says when it is so far


class StackError(server.ServerError):
    """The stack does not come up, or is not there."""


@dataclass(frozen=True)
class Files:
    """Where a stack keeps what it keeps, all below one folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """What runs."""
        return self.folder / "stack.json"

    @property
    def settings(self) -> Path:
        """For whoever wants to use it: shell assignments."""
        return self.folder / "stack.env"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.folder / "stack.lock"

    @property
    def starting(self) -> Path:
        """Held by the command that starts it, before there is a supervisor and until it is up."""
        return self.folder / "starting.lock"

    @property
    def logs(self) -> Path:
        """A file for each part."""
        return self.folder / "logs"

    @property
    def objects(self) -> Path:
        """The S3 server's data."""
        return self.folder / "s3"


@dataclass(frozen=True)
class Plan:
    """A stack that is to be started.

    folder: for its files; absolute.
    root: the checkout, where flows run; absolute.
    port, s3_port: of the Prefect server and of the S3 server, on loopback.
    workers: how many evaluate, each one flow run at a time.
    deploy: the command that makes work pools and deployments.
    name: of this very start, told by every process that belongs to it.
    """

    folder: Path
    root: Path
    port: int
    s3_port: int
    workers: int
    deploy: tuple[str, ...]
    name: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def files(self) -> Files:
        """Where its files are."""
        return Files(self.folder)

    @property
    def ui(self) -> str:
        """The Prefect server's address for people."""
        return f"http://{server.HOST}:{self.port}"

    @property
    def store(self) -> str:
        """CREDIT_STORE of everything in it."""
        return f"s3://{BUCKET}/{PREFIX}"

    def workers_of_pools(self) -> dict[str, str]:
        """The name of each worker, and its work pool: one that drives, and those that evaluate."""
        evaluating = {f"{GPU_POOL}-{number}": GPU_POOL for number in range(1, self.workers + 1)}
        return {f"{CPU_POOL}-1": CPU_POOL, **evaluating}


def plan_of(deploy: tuple[str, ...], *, workers: int = 2, folder: Path = STATE_FOLDER) -> Plan:
    """A stack as the environment wants it: `PREFECT_SERVER_API_PORT` and `CREDIT_S3_PORT` are its ports.

    Raises:
        StackError, ServerError: if a port is none, both are the same, or the number of workers makes no sense.
    """
    given = os.environ.get(S3_PORT, "8333")
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 2**16):
        raise StackError(f"{S3_PORT} is {given!r}; set it to a free port, such as 8333")
    port, s3_port = server.port(), int(given)
    if port == s3_port:
        raise StackError(f"PREFECT_SERVER_API_PORT and {S3_PORT} are both {port}; set one of them to another free port")
    if not 1 <= workers <= MOST_WORKERS:
        raise StackError(f"{workers} workers: from 1 to {MOST_WORKERS} can be started")
    return Plan(folder.absolute(), Path.cwd(), port, s3_port, workers, deploy)
