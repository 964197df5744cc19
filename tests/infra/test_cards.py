"""Two runs on one machine never share a card, and a dead run's card is free at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from infra.cards import free_card

HOLD = """
import sys, time
from pathlib import Path
from infra.cards import free_card
with free_card(["GPU-a", "GPU-b"], print, Path(sys.argv[1])) as card:
    print(card, flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_processes_take_different_cards_wait_when_all_are_taken_and_inherit_that_of_a_killed_one(
    tmp_path: Path,
) -> None:
    locks = tmp_path / "locks"
    first, one = holder(locks)
    second, two = holder(locks)
    assert {one, two} == {0, 1}
    said: list[str] = []
    taken: list[int] = []

    def take() -> None:
        with free_card(["GPU-a", "GPU-b"], said.append, locks) as card:
            taken.append(card)

    waiting = threading.Thread(target=take)
    waiting.start()
    waiting.join(1.5)
    assert waiting.is_alive() and "all 2 cards of this machine are taken" in said[0]
    second.send_signal(signal.SIGKILL)
    second.wait()
    waiting.join(10)
    assert taken == [two]
    first.kill()
    first.wait()


def test_a_card_is_known_by_its_name_in_whatever_order_it_is_seen_and_none_is_needed_without_cards(
    tmp_path: Path,
) -> None:
    locks = tmp_path / "locks"
    with free_card(["GPU-a", "GPU-b"], print, locks) as first, free_card(["GPU-b", "GPU-a"], print, locks) as second:
        assert (first, second) == (0, 0)
    with free_card([], print, locks) as none:
        assert none == 0
