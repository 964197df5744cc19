"""A property of one's own that works for every coalition but one, in whichever way the test wants.

The environment says which (FAULT_IN: sha256 of its images' pixels; `*` for all of them), how (FAULT), and that it is to be
so once only (FAULT_ONCE: a file that is made then).
"""

import hashlib
import os
import resource
import signal

import numpy as np
import psutil

from tasks.properties import Samples, Statistics, global_property


@global_property(needs="samples", sign=+1, unit="levels of 255")
def brightness(samples: Samples, statistics: Statistics) -> float:
    """How bright the generated images are."""
    if os.environ.get("FAULT_IN") in (pixels_sha256(samples.images), "*") and _still():
        FAULTS[os.environ["FAULT"]]()
    return float(samples.images.mean())


def pixels_sha256(images: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def _still() -> bool:
    once = os.environ.get("FAULT_ONCE")
    if once is None:
        return True
    try:
        with open(once, "x"):
            return True
    except FileExistsError:
        return False


def _throws() -> None:
    raise RuntimeError("the lamp of the photometer is broken")


def _has_no_value() -> None:
    raise ValueError("these images are too dark")


def _is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when the machine has no memory left


def _asks_for_too_much() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**26, most))
    np.ones(2**30)


FAULTS = {
    "throws": _throws,
    "has no value": _has_no_value,
    "is killed": _is_killed,
    "asks for too much": _asks_for_too_much,
}
