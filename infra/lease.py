"""One run of a study at a time: a lease in the store, renewed while the run lives, expired when it does not.

The only primitive needed is "create if absent", which every store has: a study's leases are numbered, the highest number
rules, and whoever creates the next number holds the study. So two runs that find a stale lease at the same moment cannot
both take it over.

    leases/<study>/00000007.json   {"holder": "run …", "host": …, "process": …, "expires": …}
"""

from __future__ import annotations

import os
import socket
import threading
import time
from types import TracebackType

import psutil
from pydantic import BaseModel, ConfigDict

from infra.digest import canonical_json
from infra.store import Store

DURATION = 120.0  # seconds after which a lease that nobody renewed is stale
RENEWAL = 20.0  # seconds between renewals


class Holder(BaseModel):
    """Who holds a study, and until when (seconds since 1970, UTC)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    holder: str
    host: str
    process: int
    process_started: float
    expires: float

    def is_stale(self, now: float) -> bool:
        """Expired, or held by a process of this machine that no longer exists."""
        if now >= self.expires:
            return True
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.process).create_time() - self.process_started) > 1.0
        except psutil.NoSuchProcess:
            return True


class LeaseHeld(RuntimeError):
    """Another run of this study is going on."""


class LeaseLost(RuntimeError):
    """This run was silent for so long that another one took the study over."""


class Lease:
    """Context manager: holds `study` in `store` for the length of the block.

    Raises:
        LeaseHeld: on entering, if another run holds the study; names it.
    """

    def __init__(
        self, store: Store, study: str, holder: str, *, duration: float = DURATION, renewal: float = RENEWAL
    ) -> None:
        self._store, self._study, self._name = store, study, holder
        self._duration, self._renewal = duration, renewal
        self._number = 0
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        numbers = self._numbers()
        if numbers:
            current = self._read(numbers[-1])
            if current is not None and not current.is_stale(time.time()):
                raise LeaseHeld(
                    f"study '{self._study}' is being run by {current.holder} on {current.host} (process "
                    f"{current.process}); wait until it ends, or cancel it. If it died, its lease expires in "
                    f"{max(0.0, current.expires - time.time()):.0f} s."
                )
        self._number = (numbers[-1] if numbers else 0) + 1
        if not self._store.create(self._key(self._number), self._body(self._duration)):
            raise LeaseHeld(f"study '{self._study}' was taken by another run at this very moment; try again")
        for old in numbers:
            self._store.delete(self._key(old))
        self._thread = threading.Thread(target=self._renew, name=f"lease-{self._study}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if not self._lost.is_set():
            self._store.write(self._key(self._number), self._body(0.0))  # given back: stale from now on

    def check(self) -> None:
        """Call before anything that only the holder may do.

        Raises:
            LeaseLost: if another run has taken the study over.
        """
        if self._lost.is_set() or self._superseded():
            self._lost.set()
            raise LeaseLost(f"study '{self._study}' was taken over by another run; this one stops without publishing")

    def _renew(self) -> None:
        while not self._done.wait(self._renewal):
            try:
                if self._superseded():
                    self._lost.set()
                    return
                self._store.write(self._key(self._number), self._body(self._duration))
            except OSError:
                # The store is away for the moment. The lease lives on until it expires; `check` decides before publishing.
                continue

    def _superseded(self) -> bool:
        return any(number > self._number for number in self._numbers())

    def _numbers(self) -> list[int]:
        return [int(key.rpartition("/")[2].removesuffix(".json")) for key in self._store.list(f"leases/{self._study}")]

    def _read(self, number: int) -> Holder | None:
        try:
            return Holder.model_validate_json(self._store.read(self._key(number)))
        except FileNotFoundError:
            return None

    def _key(self, number: int) -> str:
        return f"leases/{self._study}/{number:08d}.json"

    def _body(self, duration: float) -> bytes:
        holder = Holder(
            holder=self._name,
            host=socket.gethostname(),
            process=os.getpid(),
            process_started=psutil.Process().create_time(),
            expires=time.time() + duration,
        )
        return canonical_json(holder.model_dump())
