"""The whole of it on one machine: Prefect server, S3 server, deployments and workers, on loopback only, in the background.

    state = up(plan_of(deploy), print)    returns when everything answers
    down(folder, print)                   returns when everything is gone

What runs is held by one process, the supervisor (infra.stack.supervisor): it starts again what dies, and ends what it
started when it is told to. If it is killed itself, another one ends it (infra.stack.guard). If both are killed, or the
machine is switched off, `down` and the next `up` find what is left, or that nothing is (infra.stack.members).
"""

from .control import down, status, up
from .types import Plan, StackError

__all__ = ["Plan", "StackError", "down", "status", "up"]
