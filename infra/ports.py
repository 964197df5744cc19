"""Free ports of this machine, for servers that are started a moment after their port was chosen, or a second time.

A port that the system gives (`bind` to port 0) lies in the range from which it serves everybody who asks; between the choice
and the server's start, or while a server is down, somebody else is given the same one. These lie below that range.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from infra.server import HOST

FIRST = 12000  # below are ports of known services, and one that browsers refuse (10080)
_SYSTEMS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")  # Linux
_DEFAULT_START = 32768  # of Linux; elsewhere the range begins later
_LEAST = 1000  # with fewer below the system's range, its own have to do
_GOLDEN = 0.6180339887  # multiples of it spread evenly over [0, 1), successive ones far apart

_lock = threading.Lock()
_next: dict[int, int] = {}  # this process (a fork is another): how many ports it has looked at


def free_port() -> int:
    """One of `free_ports`."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many ports on which nobody listens; no process gives one twice until it has given all.

    Processes begin at places of their own, those started one after another far from each other, so that two which choose
    at the same time do not choose the same.

    Raises:
        OSError: if so many are not to be had.
    """
    size = _start_of_the_systems() - FIRST
    if size < _LEAST:
        return _from_the_system(count)
    found: list[int] = []
    with _lock:
        begin = int(os.getpid() * _GOLDEN % 1 * size)
        for _ in range(size):
            looked = _next.get(os.getpid(), 0)
            _next[os.getpid()] = looked + 1
            port = FIRST + (begin + looked) % size
            if _is_free(port):
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"of the {size} ports from {FIRST} on, {count} free ones are not to be had on {HOST}")


def _start_of_the_systems() -> int:
    try:
        return int(_SYSTEMS_OWN.read_text().split()[0])
    except OSError:
        return _DEFAULT_START


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _from_the_system(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:  # all held at once, so that no two get the same
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
