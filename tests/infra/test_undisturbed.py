"""What a process holds is given back whole, however often it is asked to end meanwhile."""

import json
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from infra.lease import Lease
from infra.store import Store
from infra.undisturbed import undisturbed


class Ending(BaseException):
    """What a SIGTERM raises in a flow."""


@pytest.fixture
def ending() -> Iterator[None]:
    def end(number: int, frame: object) -> None:
        raise Ending

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_request_to_end_waits_until_the_block_is_over(ending: None) -> None:
    done = False
    with pytest.raises(Ending), undisturbed():
        ask()
        ask()
        done = True
    assert done
    with pytest.raises(Ending):  # and whoever had the signal has it again
        ask()


def test_nobody_is_asked_who_was_not(ending: None) -> None:
    with undisturbed():
        pass


def test_an_error_of_the_block_is_not_lost(ending: None) -> None:
    with pytest.raises(Ending) as told, undisturbed():
        ask()
        raise ValueError("its own")
    assert isinstance(told.value.__context__, ValueError)
    with pytest.raises(ValueError, match="its own"), undisturbed():
        raise ValueError("its own")


def test_outside_the_main_thread_where_no_signal_comes_it_does_nothing() -> None:
    through = []

    def work() -> None:
        with undisturbed():
            through.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert through


def test_a_study_is_given_back_though_its_run_is_asked_to_end_a_second_time(
    ending: None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write

    def slowly(self: Store, key: str, data: bytes) -> None:
        if json.loads(data).get("given_back"):
            ask()  # its worker's, while the store is slow
        write(self, key, data)

    monkeypatch.setattr(Store, "write", slowly)
    with pytest.raises(Ending), Lease(store, "mine", "a test"):
        ask()
    assert json.loads(store.read(max(store.list("leases/mine"))))["given_back"] is True
