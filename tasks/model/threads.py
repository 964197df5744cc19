"""Where numbers are made: which device, how many threads, and where in memory.

All training on a CPU is done on one thread. Two processes of one thread each get more done than one of two; sums come out
in the same order whether the work runs in this process or in a pool, and however many cores a machine has; and a second
thread that waits for a core which something else uses costs more than it brings (measured with another load on two cores:
1.3 s a step on two threads, 0.4 s on one).

Weights that are read from a file lie in it (a memory map) at any address, those that a network is made with at multiples of
64 bytes; and on some processors (an AMD EPYC, measured) MKL's products differ in the last bit with the address modulo
16. So what is read is copied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits
from torch import nn

N = TypeVar("N", bound=nn.Module)

_ALIGNED = 64  # bytes: of every allocation of torch's on a CPU


def device_of(choice: str, index: int | None = None) -> str:
    """The torch device for a study's choice ("auto", "cpu", "cuda"); worker number `index` takes its card in turn, and where
    there is none, the process's own card (`torch.cuda.set_device`) is used.

    Raises:
        ValueError: if CUDA is asked for and there is none.
    """
    if choice == "cpu" or (choice == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise ValueError("execution.device is 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'")
    return f"cuda:{torch.cuda.current_device() if index is None else index % torch.cuda.device_count()}"


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Everything inside runs on one CPU thread; the setting before is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def aligned(network: N) -> N:
    """The same network, with its numbers at addresses where torch itself would put them, so that one which was read computes
    what one which was made does, to the bit. Copies those that lie elsewhere. Two parameters that share one memory
    would come apart; one parameter in two places stays one."""
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNED:
                tensor.data = tensor.data.clone()
    return network


def cards(choice: str) -> list[str]:
    """Names of the cards that a study's choice of device may use in this process; none where it works on the CPU."""
    if device_of(choice, 0) == "cpu":  # asking for the current card would already take some of its memory
        return []
    return [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
