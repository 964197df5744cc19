"""Linear algebra on one thread: with more of them sums come out in another order, differently on every number of cores.

The last bits would decide which coalitions a design proposes, and a paid credit would depend on the machine that computed
it. Whoever has cores to spare uses them for evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg  # noqa: F401  its BLAS must be loaded to be found
from threadpoolctl import ThreadpoolController

_CONTROLLER = ThreadpoolController()  # looking for the libraries anew each time would take milliseconds


@contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's and SciPy's BLAS use one thread inside; the setting before is restored. Also a decorator."""
    with _CONTROLLER.limit(limits=1, user_api="blas"):
        yield
