"""A run that somebody cancels in the UI ends, whether a worker hears of it or not: Prefect would leave it Cancelling, and at
work, to its end.

`run_cancellable`    for a run that no worker started, such as `python -m flows.run`.
`end_when_cancelled` for one that a worker started. A worker ends its runs itself, but no longer those that it had when the
                     Prefect server was away for more than some 20 s (seen in Prefect 3.8: it gives up looking).
`end_when_sent_again` likewise, for one whose work is sent again when its machine is taken to be gone: one that only slept
                     ends too when it wakes.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled

from infra.automations import counted_out
from infra.prefect_api import UNANSWERED, briefly, client

T = TypeVar("T")

ASK_EVERY = 10.0  # seconds between two looks at the run's state
WORKER_HAS = 10.0  # seconds for the worker to end a cancelled run before it ends itself
TO_LEAVE = 30.0  # seconds to give back what it holds before it is killed: as long as a worker allows
_ended_themselves: set[UUID] = set()  # runs of this process
_SIGNAL = signal.SIGUSR1  # not SIGINT, which a shell's background jobs ignore


class RunCancelled(KeyboardInterrupt):
    """Somebody cancelled the run: to whoever called it that is Ctrl-C."""


class _Cancel(KeyboardInterrupt):
    """Ends the flow as Ctrl-C does: through its `finally` blocks, past whoever catches an Exception."""


def run_cancellable(flow: Flow[..., T], *arguments: Any, ask_every: float = ASK_EVERY) -> T:
    """What a flow returns that is called here, in the main thread. Looks at its run's state while it goes on.

    Raises:
        RunCancelled: if the run was cancelled; it is Cancelled then, and has given back what it held.
    """
    watch = _Watch(ask_every)
    watched = flow.with_options(on_running=[*flow.on_running_hooks, watch.begin])
    try:
        with _raising(), watch:
            result = watched(*arguments)
        watch.leave()
        return result
    except Exception:
        watch.leave()
        raise
    except _Cancel:
        watch.tell()
        raise RunCancelled("the run was cancelled; start it again to go on where it was") from None


@contextlib.contextmanager
def _raising() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise _Cancel("cancelled in the Prefect UI")

    before = signal.signal(_SIGNAL, end)
    try:
        yield
    finally:
        signal.signal(_SIGNAL, before)


class _Watch:
    """A thread that asks for the state of a run from when it is Running, and signals the main thread."""

    def __init__(self, ask_every: float) -> None:
        self._ask_every, self._run = ask_every, UUID(int=0)
        self._done, self._ending = threading.Event(), threading.Lock()
        # Outside the flow, whose client is not for other threads.
        asking = contextvars.copy_context()
        self._thread = threading.Thread(target=lambda: asking.run(self._look), name="is-it-cancelled", daemon=True)

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *error: object) -> None:
        with self._ending:
            self._done.set()  # after this no signal is sent

    def begin(self, flow: Any, flow_run: Any, state: Any) -> None:
        """The flow's hook: it is Running. A run that is tried again is so more than once."""
        if not self._thread.is_alive() and not self._done.is_set():
            self._run = flow_run.id
            self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(self._ask_every):
            try:
                with briefly(), client() as server:
                    state = server.read_flow_run(self._run).state
            except UNANSWERED:
                continue  # the server is away; the run goes on without it
            if state is None or not (state.is_cancelling() or state.is_cancelled()):
                continue
            with self._ending:
                if not self._done.is_set():
                    main = threading.main_thread().ident
                    assert main is not None
                    signal.pthread_kill(main, _SIGNAL)
            return

    def tell(self) -> None:
        """To Prefect an interrupted flow has Crashed. A server that is away does not change that it was cancelled."""
        with contextlib.suppress(ObjectNotFound, *UNANSWERED), briefly(), client() as server:
            server.set_flow_run_state(self._run, Cancelled(message="Cancelled in the Prefect UI"), force=True)

    def leave(self) -> None:
        """The flow came to its end."""
        _leave(self._run)


def end_when_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A flow's hook for when it is Running: from then on its process looks whether it was cancelled, and ends if its worker
    does not see to it. It does nothing in a run that no deployment started."""
    _look_after(flow_run, lambda state: state.is_cancelling() or state.is_cancelled())


def end_when_sent_again(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """The same hook, for runs that a driver waits for: they end too when the automation has counted them out."""
    _look_after(flow_run, lambda state: state.is_cancelling() or state.is_cancelled() or counted_out(state))


def _look_after(flow_run: FlowRun, over: Callable[[State[Any]], bool]) -> None:
    if flow_run.deployment_id is None:
        return
    # Both without this context: the flow's client is not for other threads, and closed when the flow has ended.
    threading.Thread(target=_end, args=(flow_run.id, over), name="is-it-cancelled", daemon=True).start()
    atexit.register(lambda: contextvars.Context().run(_leave, flow_run.id))


def say_cancelled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A flow's hook for when it has Crashed: to Prefect an interrupted flow has, also one that ended itself as cancelled."""
    if flow_run.id in _ended_themselves:
        with briefly(), client() as server:
            said = "Cancelled in the Prefect UI; no worker had ended it after a while, so it ended itself"
            server.set_flow_run_state(flow_run.id, Cancelled(message=said), force=True)


def _end(run: UUID, over: Callable[[State[Any]], bool]) -> None:
    since: float | None = None
    while True:
        time.sleep(ASK_EVERY if since is None else WORKER_HAS / 2)
        try:
            with briefly(), client() as server:
                state = server.read_flow_run(run).state
        except ObjectNotFound:
            return  # somebody deleted it: that asks nobody to end
        except UNANSWERED:
            continue  # the server is away; the run goes on without it
        if state is None or not over(state):
            since = None
            continue
        since = since or time.monotonic()
        if time.monotonic() - since >= WORKER_HAS:
            break
    if not counted_out(state):  # that stays Crashed: it is what happened
        _ended_themselves.add(run)
    os.kill(os.getpid(), signal.SIGTERM)  # ends as by its worker: through its `finally` blocks
    time.sleep(TO_LEAVE)
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(run: UUID) -> None:
    """One that came to its end just when it was cancelled is refused that end, and would be Cancelling for some minutes."""
    with contextlib.suppress(ObjectNotFound, *UNANSWERED), briefly(), client() as server:
        state = server.read_flow_run(run).state
        if state is not None and state.is_cancelling():
            server.set_flow_run_state(run, Cancelled(message="Cancelled in the Prefect UI; its process has ended"))
