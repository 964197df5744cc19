"""Runs of the two studies, through the API, as people start them: again and again, until each generation has a statement."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import State
from prefect.states import Cancelling, Crashed

from infra.prefect_api import client, patiently
from tests.soak.studies import COLLECTION, Generation, write_images
from tests.soak.world import ROOT, World

PATIENCE = 600.0  # seconds for which the server may be away
LOOK = 1.0
UNSEEN = (
    120.0  # seconds without a process, after which a run is taken for dead; a cancelled one is reported after some 75
)
MOST_TRIES = 40
AGAIN_AFTER = 3.0


@dataclass
class Try:
    """One flow run of ours: what of, when, and how it ended (None: not yet)."""

    what: str
    generation: int
    run: str
    began: float
    ended: float | None = None
    how: str | None = None
    said: str = ""


class Runs:
    """Starts runs and waits for them; knows of all of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tries: list[Try] = []
        self.believed_running = 0  # runs whose process was gone, and which Prefect took for running
        self._deployments: dict[str, UUID] = {}

    def start(self, what: str, generation: int, deployment: str, parameters: Mapping[str, Any]) -> Try:
        """Start a run of a deployment."""
        once = str(uuid4())

        def ask() -> UUID:
            with client() as server:
                if deployment not in self._deployments:
                    self._deployments[deployment] = server.read_deployment_by_name(deployment).id
                return server.create_flow_run_from_deployment(
                    self._deployments[deployment], parameters=dict(parameters), idempotency_key=once
                ).id

        begun = Try(what, generation, str(patiently(ask, _quiet, PATIENCE)), time.time())
        self.tries.append(begun)
        return begun

    def wait(self, begun: Try, until: Callable[[], bool] = lambda: False) -> None:
        """Wait for a run's end. One without a process that is said to go on is declared crashed, as a person would."""
        unseen: float | None = None
        while not until():
            state = patiently(lambda: _state(begun.run), _quiet, PATIENCE)
            if state.is_final():
                begun.ended, begun.how = time.time(), state.type.value.lower()
                begun.said = (state.message or "").partition("\n")[0][:300]
                return
            there = state.is_scheduled() or begun.run in self.world.runs()
            unseen = None if there else unseen or time.time()
            if unseen is not None and time.time() - unseen > UNSEEN:
                self.believed_running += 1
                self.world.say(f"run {begun.run} is {state.name} and has no process: declared crashed")
                patiently(lambda: _declare_crashed(begun.run), _quiet, PATIENCE)
                unseen = None
            time.sleep(LOOK)

    def cancel(self, run: str) -> None:
        """Ask a run to end, as the UI does."""

        def ask() -> None:
            with client() as server:
                server.set_flow_run_state(UUID(run), Cancelling(message="cancelled by the soak"))

        patiently(ask, _quiet, PATIENCE)

    def going_on(self, what: str | None = None) -> list[Try]:
        """Runs that have not ended."""
        return [each for each in self.tries if each.how is None and what in (None, each.what)]

    def counts(self) -> Counter[str]:
        """Runs by how they ended."""
        return Counter(each.how or "never ended" for each in self.tries)

    def as_rows(self) -> list[dict[str, Any]]:
        """All of them, for the report."""
        return [asdict(each) for each in self.tries]


class Lane(threading.Thread):
    """Brings one generation of a study after the other to a statement, each by as many runs as it takes.

    Args:
        generation: makes the one of that number.
        hold: while it is set, nothing new is started.
        stop: once it is set, the generation that is under way is finished and no other begun.
        deadline: when to give up, in seconds since 1970; asked again and again.
    """

    def __init__(
        self,
        runs: Runs,
        generation: Callable[[int], Generation],
        hold: threading.Event,
        stop: threading.Event,
        deadline: Callable[[], float],
    ) -> None:
        self.first = generation(0)
        super().__init__(name=f"lane-{self.first.study.name}", daemon=True)
        self.study = self.first.study.name
        self.done: list[int] = []  # generations with a statement
        self.given_up: str | None = None
        self.current: Generation | None = None  # what it is at
        self.idle = threading.Event()
        self._runs, self._generation, self._hold, self._stopping, self._deadline = (
            runs,
            generation,
            hold,
            stop,
            deadline,
        )

    def run(self) -> None:
        """One generation after the other, until told to stop."""
        number = 0
        try:
            while not self._stopping.is_set() and self.given_up is None:
                self._finish(self._generation(number))
                number += 1
        except Exception as error:  # the report must say it: an error of our own, or a server that never came back
            self.given_up = f"{type(error).__name__}: {error}"
        self.idle.set()

    def _finish(self, generation: Generation) -> None:
        self.current = generation
        for contributor, batch in generation.hand_in:
            self._hand_in(contributor, batch)
        for _ in range(MOST_TRIES):
            self._wait_while_held()
            begun = self._runs.start(self.study, generation.number, generation.deployment, generation.parameters)
            self._runs.wait(begun, until=lambda: time.time() > self._deadline())
            if begun.how == "completed":
                self.done.append(generation.number)
                return
            if begun.how is None:
                self.given_up = f"generation {generation.number} was not finished in time"
                return
            time.sleep(AGAIN_AFTER)
        self.given_up = f"generation {generation.number} has no statement after {MOST_TRIES} runs: {begun.said}"

    def _wait_while_held(self) -> None:
        while self._hold.is_set():
            self.idle.set()
            time.sleep(0.2)
        self.idle.clear()

    def _hand_in(self, contributor: str, batch: int) -> None:
        for _ in range(MOST_TRIES):
            if (code := hand_in(self._runs.world, contributor, batch)) == 0 or code == 2:  # 2: they have opted out
                return
            time.sleep(AGAIN_AFTER)
        raise RuntimeError(f"{contributor} could not hand in within {MOST_TRIES} attempts")


def hand_in(world: World, contributor: str, batch: int) -> int:
    """Hand in images as a contributor does; the exit code of that command.

    Raises:
        subprocess.TimeoutExpired: if it did not end within PATIENCE, and was killed.
    """
    folder = world.uploads / contributor / str(batch)
    write_images(folder, contributor, batch)
    command = [sys.executable, "-m", "infra.upload", str(folder), "--contributor", contributor]
    with open(world.folder / "uploads.log", "ab") as log:
        return subprocess.run(
            [*command, "--collection", COLLECTION], cwd=ROOT, stdout=log, stderr=log, check=False, timeout=PATIENCE
        ).returncode


def _state(run: str) -> State[Any]:
    with client() as server:
        state = server.read_flow_run(UUID(run)).state
    assert state is not None  # one that was started has one
    return state


def _declare_crashed(run: str) -> None:
    with client() as server:
        server.set_flow_run_state(UUID(run), Crashed(message="it has no process"), force=True)


def _quiet(text: str) -> None:
    """That a server is away is no news here."""
