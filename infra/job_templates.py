"""The base job templates of the work pools: one file for each kind of pool, its defaults set for each pool.

`infra/templates/<kind>.json` is what Prefect keeps with a pool: how a flow run becomes a process, a container or a pod, and
which variables of that a deployment may set. `pools.json` says in what the two pools differ; all else (the image, the store,
the nodes) is of the installation, and given here when a pool is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "templates"
KINDS = ("process", "docker", "kubernetes")
CPU_POOL, GPU_POOL = POOLS = ("credit-cpu", "credit-gpu")


class TemplateError(ValueError):
    """There is no such template, pool or variable."""


def job_template(kind: str, pool: str, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The base job template of a pool, as Prefect's API takes it.

    Args:
        kind: of pool: one of KINDS.
        pool: one of POOLS, whose own defaults are set first.
        defaults: of the installation, by variable, such as {"image": …, "credit_store": …}; they win.

    Raises:
        TemplateError: if there is no such kind or pool, or the template has no such variable.
    """
    if kind not in KINDS:
        raise TemplateError(f"there is no kind of work pool '{kind}'; there are {', '.join(KINDS)}")
    if pool not in POOLS:
        raise TemplateError(f"there is no work pool '{pool}'; there are {', '.join(POOLS)}")
    template: dict[str, Any] = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    own = json.loads((FOLDER / "pools.json").read_text(encoding="utf-8"))[kind][pool]
    variables = template["variables"]["properties"]
    for name, value in {**own, **(defaults or {})}.items():
        if name not in variables:
            raise TemplateError(
                f"a {kind} work pool has no variable '{name}' that '{pool}' could have a default for; it has "
                f"{', '.join(sorted(variables))}"
            )
        variables[name]["default"] = value
    return template
