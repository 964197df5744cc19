"""Does what the plan of faults says, to whatever plays the part at that moment."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from tests.soak import faults, journal
from tests.soak.faults import Fault
from tests.soak.runs import Lane, Runs, hand_in
from tests.soak.studies import LEAVER, STUDIES
from tests.soak.world import World, part_names

AIM = 30.0  # seconds to find an evaluation in the middle of a training; then any evaluation will do
IDLE = 240.0  # seconds to wait until both studies rest; then gc and opt-out are left out
_PAUSE = 0.02


@dataclass
class Done:
    """A fault, as it was done. at, until: seconds since 1970. to: whom; empty if there was nobody."""

    fault: Fault
    at: float
    until: float
    to: str

    def as_row(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self.fault), "planned_at": self.fault.at, "at": self.at, "until": self.until, "to": self.to}


class Inflictor:
    """Carries a plan out, fault by fault; what takes long goes on beside the next ones."""

    def __init__(self, world: World, runs: Runs, lanes: Sequence[Lane], hold: threading.Event) -> None:
        self.world, self.runs, self.lanes, self.hold = world, runs, lanes, hold
        self.done: list[Done] = []
        self._killed: set[psutil.Process] = set()
        self._busy = threading.Lock()  # gc or an opt-out is at work
        self._stopped: set[psutil.Process] = set()
        self._threads: list[threading.Thread] = []
        self._given_up = threading.Event()
        self.troubles: list[str] = []  # what did not end, and errors of our own

    @property
    def killed(self) -> int:
        """Processes that were killed."""
        return len(self._killed)

    def run(self, plan: Sequence[Fault], began: float) -> None:
        """Do all of it. began: `time.time()` of the soak's beginning."""
        for fault in plan:
            time.sleep(max(0.0, began + fault.at - time.time()))
            self._inflict(fault)

    def rest(self, seconds: float) -> None:
        """Let everything go on that was stopped, and wait until gc and opt-outs have ended, for so long at most."""
        for process in list(self._stopped):
            self._go_on(process)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self.troubles.append(f"{thread.name} did not end within {seconds:.0f} s after the last fault")
        self._given_up.set()
        for process in list(self._stopped):
            self._go_on(process)

    def _inflict(self, fault: Fault) -> None:
        what, _, whom = fault.kind.partition(" ")
        if fault.kind in (faults.TIDY_UP, faults.OPT_OUT):
            self._beside(self._keep_house, fault)
        elif fault.kind == faults.SECOND_RUN:
            self._second_run(fault)
        elif fault.kind == faults.CANCEL:
            self._cancel(fault)
        else:
            targets = self._targets(whom, aim=what == "kill")
            if not targets:
                self._note(fault, "")
            elif what == "kill":
                self._kill(fault, targets[int(fault.pick * len(targets))])
            elif whom in ("S3 server", "Prefect server"):  # all processes of it, as a network that hangs
                self._hang(fault, targets)
            else:
                self._hang(fault, [targets[int(fault.pick * len(targets))]])

    def _targets(self, whom: str, aim: bool) -> list[psutil.Process]:
        found = self._playing(whom, aim)
        return [process for process in found if process not in self._killed]  # it takes a killed one a moment to go

    def _playing(self, whom: str, aim: bool) -> list[psutil.Process]:
        if part := part_names().get(whom):
            return self.world.part(part)
        ours = {each.run for each in self.runs.tries}
        if whom == "driver":
            return [process for run, process in sorted(self.world.runs().items()) if run in ours]
        deadline = time.monotonic() + (AIM if aim else 0.0)
        while True:
            shards = [process for run, process in sorted(self.world.runs().items()) if run not in ours]
            training = journal.training(self.world.journal)
            found = [process for process in shards if process.pid in training]
            if found or time.monotonic() > deadline:
                return found or shards
            time.sleep(_PAUSE)

    def _kill(self, fault: Fault, process: psutil.Process) -> None:
        name, at = _name(process), time.time()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            self._killed.add(process)
        self._note(fault, name, at)

    def _hang(self, fault: Fault, processes: list[psutil.Process]) -> None:
        at = time.time()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
                self._stopped.add(process)
        self._note(fault, ", ".join(map(_name, processes)), at, at + fault.seconds)

        def go_on() -> None:
            for process in processes:
                self._go_on(process)

        timer = threading.Timer(fault.seconds, go_on)
        timer.daemon, timer.name = True, fault.kind
        timer.start()
        self._threads.append(timer)

    def _go_on(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
        self._stopped.discard(process)

    def _cancel(self, fault: Fault) -> None:
        going = [each for study in STUDIES for each in self.runs.going_on(study)]
        if not going:
            self._note(fault, "")
            return
        begun = going[int(fault.pick * len(going))]
        done = self._note(fault, f"{begun.what} {begun.run}")

        def cancel() -> None:
            self.runs.cancel(begun.run)
            done.until = time.time()

        self._beside(lambda _: cancel(), fault)

    def _second_run(self, fault: Fault) -> None:
        going = [each for study in STUDIES for each in self.runs.going_on(study)]
        if not going:
            self._note(fault, "")
            return
        begun = going[int(fault.pick * len(going))]
        lane = next(lane for lane in self.lanes if lane.study == begun.what)
        generation = lane.current
        if generation is None:
            self._note(fault, "")
            return
        self._note(fault, begun.what)

        def start() -> None:
            second = self.runs.start("second run", generation.number, "attribute/openmoji", generation.parameters)
            self.runs.wait(second, until=self._given_up.is_set)

        self._beside(lambda _: start(), fault)

    def _keep_house(self, fault: Fault) -> None:
        """gc, or an opt-out and a return later: both are refused while a study is run, so both wait for a moment's rest."""
        with self._busy:
            steps: list[tuple[str, str, dict[str, Any]]] = [
                ("gc", "collect-garbage/store", {"older_than_days": 0, "keep_statements": "latest", "delete": True})
            ]
            if fault.kind == faults.OPT_OUT:
                common = {"contributor": LEAVER, "by": "the soak", "unknown_name": True}
                steps = [("opt-out", "opt-out/store", common)]
                steps.append(("return", "opt-out/store", {**common, "returning": True}))
            for what, deployment, parameters in steps:
                self._alone(lambda w=what, d=deployment, p=parameters: self._until_done(fault, w, d, p), fault)  # type: ignore[misc]
            if fault.kind == faults.OPT_OUT:
                hand_in(self.world, LEAVER, 0)

    def _alone(self, do: Callable[[], None], fault: Fault) -> None:
        self.hold.set()
        try:
            if all(lane.idle.wait(IDLE) for lane in self.lanes):
                do()
            else:
                self._note(fault, "")
        finally:
            self.hold.clear()
        time.sleep(AIM)  # let the studies do something in between

    def _until_done(self, fault: Fault, what: str, deployment: str, parameters: dict[str, Any]) -> None:
        """Again until it is done: a run of this kind may be killed, or refused for work that has not ended yet."""
        done = self._note(fault, what, until=float("inf"))
        for _ in range(10):
            begun = self.runs.start(what, 0, deployment, parameters)
            self.runs.wait(begun, until=self._given_up.is_set)
            if begun.how == "completed" or self._given_up.is_set():
                break
            time.sleep(5)
        done.until = time.time()

    def _beside(self, do: Callable[[Fault], None], fault: Fault) -> None:
        def told() -> None:
            try:
                do(fault)
            except Exception as error:  # the report must say it
                self.troubles.append(f"{fault.kind}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=told, name=fault.kind, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _note(self, fault: Fault, to: str, at: float | None = None, until: float | None = None) -> Done:
        at = time.time() if at is None else at
        done = Done(fault, at, at if until is None else until, to)
        self.done.append(done)
        self.world.say(
            f"FAULT {fault.kind}: {to or 'nobody there'}" + (f", {fault.seconds} s" if fault.seconds else "")
        )
        return done


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        short = words[words.index("--name") + 1] if "--name" in words else " ".join(words[1:])[:60]
        return f"{process.pid} ({short})"
    return str(process.pid)
