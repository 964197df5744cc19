"""Two commands that start the stack of one folder at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import stack
from infra.stack import control
from infra.stack.types import Files, Plan, StackError


def test_two_that_start_at_once_do_not_end_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(tmp_path, Path.cwd(), 1, 2, workers=1, deploy=())
    inside, go_on, outcome = threading.Event(), threading.Event(), list[BaseException]()
    cleared: list[str] = []

    def clear(files: Files, say: Callable[[str], None]) -> bool:
        """The moment before the first supervisor has written that it is there."""
        cleared.append(threading.current_thread().name)
        inside.set()
        assert go_on.wait(60)
        raise StackError("enough")

    def start() -> None:
        try:
            stack.up(plan, print)
        except BaseException as error:
            outcome.append(error)

    monkeypatch.setattr(control, "_clear", clear)
    first = threading.Thread(target=start, name="first")
    first.start()
    assert inside.wait(60)
    with pytest.raises(StackError, match=r"starting by another command; wait for that one, or end it: make stack-down"):
        stack.up(plan, print)
    go_on.set()
    first.join(60)
    assert cleared == ["first"] and str(outcome[0]) == "enough"
    with pytest.raises(StackError, match="enough"):  # the first one's end gives the lock back
        stack.up(plan, print)
