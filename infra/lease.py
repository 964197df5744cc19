"""One run of a study at a time: a lease in the store, renewed while the run lives, expired when it does not.

The only primitive needed is "create if absent", which every store has: a study's leases are numbered, the highest number
rules, and whoever creates the next number holds the study. So two runs that find a stale lease at the same moment cannot
both take it over.

    leases/<study>/00000007.json   {"holder": "run …", "host": …, "process": …, "expires": …}

Whoever tidies the store up holds it alone, under a name that no study can have. They and a run that begins at the same
moment each take their own lease first and look for the other's then, so that at least one of them sees the other.

Whoever was silent for so long that others may have taken its lease for stale (suspended, or cut off from the store) renews
first and looks then, likewise: if somebody who excludes it has been there since its lease lapsed, and be it that they have
come and gone, it has lost. While a lease has not lapsed there is nothing to look for: whoever comes finds it living and is
refused, so that nobody loses to a newcomer that is about to give up.

A lease is renewed every 20 s and lives 120, and its own holder takes it for lapsed when half of that is over.

Clocks jump. On one machine, in whatever containers, leases are judged by the seconds since it booted, which do not, where
the system names the boot (infra.holder). Machines that share a store have only their clocks, which should agree to within a
minute. A holder whose clock is set back goes on by the time it had, so its lease does not look expired; one that ends says
so, whatever the time. Where another machine's clock is ahead by more than two minutes, a run there takes over one that
lives: that one finds out when it renews, or before it publishes, and stops. So at most one of them publishes, unless the
take-over falls into the very moment between that last look and the publishing.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from types import TracebackType

from pydantic import ValidationError

from infra.digest import canonical_json
from infra.holder import Holder
from infra.process import boot, machine, started, uptime
from infra.store import Store, StoreError
from infra.undisturbed import undisturbed

DURATION = 120.0  # seconds after which a lease that nobody renewed is stale
RENEWAL = 20.0  # seconds between renewals
LARGEST = 2**16  # bytes of a lease
HOUSEKEEPING = "_housekeeping"  # what is held by whoever deletes: no study may run meanwhile
_LEASE = re.compile(r"[0-9]{8}\.json")

log = logging.getLogger(__name__)


class LeaseHeld(RuntimeError):
    """Another run of this study is going on, or something that must not go on beside it."""


class LeaseLost(RuntimeError):
    """This run was silent for so long that others took it for dead: one took the study over, or began what excludes it."""


class Lease:
    """Context manager: holds `study` in `store` for the length of the block.

    Raises:
        LeaseHeld: on entering, if another run holds the study, or the store is being tidied up; for HOUSEKEEPING, if any
            study is being run. Names who it is.
        StoreError: on entering, if what lies there is not a lease.
    """

    def __init__(
        self, store: Store, study: str, holder: str, *, duration: float = DURATION, renewal: float = RENEWAL
    ) -> None:
        self._store, self._study, self._name = store, study, holder
        self._duration, self._renewal = duration, renewal
        self._number = 0
        self._ours: Holder | None = None  # the last lease of ours that we know nobody came after
        self._time = time.time(), uptime()  # when we last asked: see _now
        self._renewing = threading.Lock()
        self._lost = ""  # why, in words
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        numbers = self._numbers()
        if numbers:
            self._refuse_living(numbers[-1])
        self._number = (numbers[-1] if numbers else 0) + 1
        ours = self._holder(self._duration)
        body = canonical_json(ours.model_dump())
        # A bucket may do it, lose the answer, be asked again and say no: then what is there is ours.
        if not self._store.create(self._key(self._number), body) and self._read(self._number) != ours:
            raise LeaseHeld(f"study '{self._study}' was taken by another run at this very moment; try again")
        if self._superseded():
            # While we looked, others came and went, and the number we took had been used and cleared away.
            self._store.delete(self._key(self._number))
            raise LeaseHeld(f"study '{self._study}' was taken by another run at this very moment; try again")
        for old in numbers:
            self._store.delete(self._key(old))
        self._refuse_beside()
        self._ours = ours
        self._thread = threading.Thread(target=self._keep, name=f"lease-{self._study}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with undisturbed():
            self._done.set()
            if self._thread is not None:
                self._thread.join()
            if not self._lost:
                self._give_back()

    def _give_back(self) -> None:
        try:
            self._write(self._holder(0.0, given_back=True))
        except Exception:
            # It expires by itself. What ended the run, or its finished work, matters more than this.
            log.warning("the lease of study '%s' could not be given back; it will expire", self._study, exc_info=True)

    def check(self) -> None:
        """Call before anything that only the holder may do. Renews the lease, so that it is good for some time.

        Raises:
            LeaseLost: if another run has taken the study over, or something that excludes it was begun.
        """
        self._renew()
        if self._lost:
            raise LeaseLost(f"{self._lost}; this one stops without publishing or deleting anything more")

    def _renew(self) -> None:
        """Make the lease good for its whole duration, or find out that it is lost."""
        with self._renewing:
            if self._lost:
                return
            if not self._superseded():
                before, ours = self._ours, self._holder(self._duration)
                self._write(ours)
                # Asked again: whoever looked before this renewal may have found a stale lease.
                if not self._superseded():
                    # Asked after the write: up to then others could see the old one only.
                    if before is not None and self._lapsed(before):
                        self._look_beside(before)
                    if not self._lost:
                        self._ours = ours
                    return
            self._lost = f"{_activity(self._study)} was taken over by another run"

    def _lapsed(self, ours: Holder) -> bool:
        """Whether somebody, whose clock may be ahead of ours, could have taken our lease for stale."""
        return ours.seconds_left(self._now()) <= self._duration / 2 or self._now() >= ours.expires - self._duration / 2

    def _look_beside(self, ours: Holder) -> None:
        """Our lease had lapsed: who excludes us and was there since? By their own clock they found ours expired, so theirs
        ended later; whoever gave theirs back before had been refused because of ours."""
        for key, holder in _newest(self._store, self._excluding).items():
            if key != self._key(self._number) and holder.outlived(ours):
                mine, theirs = _activity(self._study), _activity(key.split("/")[1])
                self._lost = f"the lease of {mine} lapsed, and meanwhile {theirs} was begun by {holder.holder}"
                self._give_back()
                return

    def _keep(self) -> None:
        while not self._lost and not self._done.wait(self._renewal):
            try:
                self._renew()
            except Exception as error:
                # The store is away for the moment, and each kind of store says so by errors of its own. The lease lives
                # on until it expires; `check` decides before publishing.
                log.warning("the lease of study '%s' could not be renewed: %s", self._study, error)
        if self._lost:
            log.warning("%s: this run stops at its next step", self._lost)

    def _refuse_living(self, number: int) -> None:
        current = self._read(number)
        if current is not None and not current.is_stale(time.time()):
            raise _held(self._study, current, self._store.where(self._key(number)))

    def _refuse_beside(self) -> None:
        """Give our lease back, and raise, if somebody holds what excludes us."""
        try:
            for key, holder in living(self._store, self._excluding).items():
                if key != self._key(self._number):
                    raise _held(key.split("/")[1], holder, self._store.where(key))
        except BaseException:
            self._write(self._holder(0.0, given_back=True))
            raise

    @property
    def _excluding(self) -> str | None:
        """Under which name those lie that exclude us; None for all names."""
        return None if self._study == HOUSEKEEPING else HOUSEKEEPING

    def _superseded(self) -> bool:
        return any(number > self._number for number in self._numbers())

    def _numbers(self) -> list[int]:
        names = (key.rpartition("/")[2] for key in self._store.list(f"leases/{self._study}"))
        return sorted(int(name.removesuffix(".json")) for name in names if _LEASE.fullmatch(name))

    def _read(self, number: int) -> Holder | None:
        """The lease of that number; None if it has just been cleared away."""
        return _read(self._store, self._key(number))

    def _key(self, number: int) -> str:
        return f"leases/{self._study}/{number:08d}.json"

    def _write(self, holder: Holder) -> None:
        self._store.write(self._key(self._number), canonical_json(holder.model_dump()))

    def _holder(self, seconds: float, *, given_back: bool = False) -> Holder:
        """Ourselves, with a lease that lives so long."""
        return Holder(
            holder=self._name,
            host=socket.gethostname(),
            machine=machine(),
            process=os.getpid(),
            process_started=started(),
            expires=self._now() + seconds,
            boot=boot(),
            expires_up=None if boot() is None else uptime() + seconds,
            given_back=given_back,
        )

    def _now(self) -> float:
        """The time, but for this: a clock that is set back does not make it earlier than it was. Else our lease would look
        expired to other machines."""
        then, up = self._time
        self._time = max(time.time(), then + uptime() - up), uptime()
        return self._time[0]


def living(store: Store, name: str | None = None) -> dict[str, Holder]:
    """Who is at work in this store now: key of the lease -> holder; only under `name`, if one is given.

    Raises:
        StoreError: if what lies there is not a lease.
    """
    return {key: holder for key, holder in _newest(store, name).items() if not holder.is_stale(time.time())}


def _newest(store: Store, name: str | None) -> dict[str, Holder]:
    newest: dict[str, str] = {}
    for key in store.list("leases" if name is None else f"leases/{name}"):  # sorted, and numbers are padded
        folder, _, file = key.rpartition("/")
        if _LEASE.fullmatch(file):
            newest[folder] = key
    holders = ((key, _read(store, key)) for key in newest.values())
    return {key: holder for key, holder in holders if holder is not None}


def _activity(name: str) -> str:
    return "the tidying up of the store" if name == HOUSEKEEPING else f"study '{name}'"


def _held(name: str, current: Holder, where: str) -> LeaseHeld:
    what = "the store is being tidied up" if name == HOUSEKEEPING else f"study '{name}' is being run"
    left = max(0.0, current.seconds_left(time.time()))
    said = (
        f"{what} by {current.holder} on {current.host} (process {current.process}); wait until it ends, or cancel it. If "
        f"it died, its lease expires in {left:.0f} s ({where})."
    )
    if left > 2 * DURATION:
        said += (
            f" No lease lasts as long: the clock of {current.host} is or was ahead of this machine's. Once they agree, and "
            "if no such run is going on, delete that file."
        )
    return LeaseHeld(said)


def _read(store: Store, key: str) -> Holder | None:
    try:
        return _parsed(store.read(key, limit=LARGEST))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        name = key.split("/")[1]
        raise StoreError(f"{store.where(key)} is not a lease; delete it if no run of '{name}' is going on") from error


def _parsed(data: bytes) -> Holder:
    return Holder.model_validate_json(data, strict=True)
