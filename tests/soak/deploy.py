"""What the soak's stack deploys: all that `make deploy` does, but `evaluate-shard` with a journal."""

from __future__ import annotations

import os
import sys

from flows.deploy import deploy
from infra.job_templates import GPU_POOL
from infra.server import environment
from tests.orchestra import deploy as deploy_one

if __name__ == "__main__":
    if code := deploy(["--pools", "process", "--gpus", sys.argv[1]]):
        sys.exit(code)
    there = {**os.environ, **environment()}
    deploy_one(there, "tests/soak/shard.py:evaluate_shard", "gpu", GPU_POOL)
