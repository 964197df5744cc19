"""Ports for servers: nobody else is given them between their choice and the server's start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra import ports
from infra.ports import FIRST, free_port, free_ports
from infra.server import HOST


def test_they_lie_outside_of_the_range_from_which_the_system_serves_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("20000\t60999\n")
    monkeypatch.setattr(ports, "_SYSTEMS_OWN", tmp_path / "range")
    assert all(FIRST <= port < 20000 for port in free_ports(20))


def test_all_of_them_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "range").write_text(f"{FIRST + 1000}\t60999\n")
    monkeypatch.setattr(ports, "_SYSTEMS_OWN", tmp_path / "range")
    monkeypatch.setattr(ports, "_is_free", lambda port: True)
    monkeypatch.setattr(ports, "_next", {})
    assert sorted(free_ports(1000)) == list(range(FIRST, FIRST + 1000))


def test_none_is_given_twice() -> None:
    found = free_ports(30) + [free_port() for _ in range(30)]
    assert len(set(found)) == 60


def test_one_on_which_somebody_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_next", {})
    expected = free_port()
    with socket.socket() as other:
        other.bind((HOST, expected))
        other.listen()
        monkeypatch.setattr(ports, "_next", {})
        assert free_port() != expected


def test_processes_that_choose_at_the_same_time_choose_others() -> None:
    command = [sys.executable, "-c", "from infra.ports import free_ports; print(*free_ports(20))"]
    many = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    chosen = [port for each in many for port in each.communicate(timeout=60)[0].split()]
    assert len(chosen) == 100 == len(set(chosen))


def test_a_machine_that_keeps_nearly_all_ports_for_itself_still_gives_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "_SYSTEMS_OWN", tmp_path / "range")
    assert len(set(free_ports(5))) == 5
    monkeypatch.setattr(ports, "_SYSTEMS_OWN", tmp_path / "not Linux")
    assert free_port() < 32768


def test_more_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_is_free", lambda port: False)
    with pytest.raises(OSError, match="free ones are not to be had"):
        free_ports(1)
