"""The automation that marks runs as Crashed whose machine is gone: Prefect itself keeps them Running for ever.

A run sends a heartbeat every HEARTBEAT seconds (the job templates say so; Prefect's own default is three times as much). The
automation waits for the next one for WITHIN. That is more than three of the longer ones, so that a late one is no death, and
more than the ten minutes for which runs do without their server (infra.patience) and two heartbeats on top: a server that
comes back must hear from a run that is well before it counts it out.

Automations are edited in the UI, and their names are not unique. So the description ends with a digest of what was made
here: while trigger and actions still have it, nobody has changed them, and a new version may; otherwise they are somebody's,
and stay. One that is switched off stays so too.

It tells runs by the names of their flows, so that those too are counted out that no deployment started. A flow of somebody
else's on the same server that has the name of one of ours is treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore

from infra.digest import canonical_json, sha256

NAME = "diffusion-credit: runs without heartbeat are Crashed"
HEARTBEAT = 60.0  # seconds between two heartbeats of a run: PREFECT_FLOWS_HEARTBEAT_FREQUENCY in infra/templates
WITHIN = 900.0  # seconds without any after which its machine is taken to be gone
NO_HEARTBEAT = "no heartbeat for"  # how the message begins by which others tell that it was this automation
BEAT = "prefect.flow-run.heartbeat"
# After these nothing is owed: the run is over, or no process has it, for now. Not Cancelling: a run that is cancelled after
# its machine is gone would otherwise be Cancelling for ever, and keep its place.
_NOTHING_OWED = (
    *("Completed", "Failed", "TimedOut", "Cancelled", "Crashed"),
    *("Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Late", "Paused", "Suspended"),
)
_MADE = re.compile(r"\[([0-9a-f]{12})\]\s*$")


@dataclass(frozen=True)
class Zombies:
    """What became of the automation. change: for people. enabled: whether it acts. ours: whether it is as this version makes
    it; if not, somebody changed it, and it was left alone."""

    name: str
    change: str
    enabled: bool
    ours: bool


def mark_zombies(client: SyncPrefectClient, flows: Collection[str], within: float = WITHIN) -> Zombies:
    """Make the automation, or bring it up to date. Doing it again changes nothing.

    Args:
        flows: names of the flows whose runs it marks; runs of others are none of its business.
        within: seconds without a heartbeat after which a run is Crashed; at least three heartbeats.
    """
    wanted = _wanted(flows, within)
    there = client.read_automations_by_name(NAME)
    if not there:
        client.create_automation(wanted)
        return Zombies(NAME, "made", True, True)
    found = min(there, key=lambda each: not _untouched(each))  # others of the name are somebody's, made in the UI
    as_wanted, untouched = _digest(found) == _digest(wanted), _untouched(found)
    if as_wanted and (found.description == wanted.description or not untouched):
        return Zombies(NAME, "as it was", found.enabled, True)
    if not untouched:
        return Zombies(NAME, "left as somebody changed it", found.enabled, False)
    client.update_automation(found.id, wanted.model_copy(update={"enabled": found.enabled}))
    return Zombies(NAME, "brought up to date", found.enabled, True)


def _wanted(flows: Collection[str], within: float) -> AutomationCore:
    minutes = f"{within / 60:g} min"
    trigger = {
        "type": "event",
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": sorted(flows)},
        "after": [BEAT],
        "expect": [BEAT, *(f"prefect.flow-run.{state}" for state in _NOTHING_OWED)],
        "for_each": ["prefect.resource.id"],
        "posture": "Proactive",
        "threshold": 1,
        "within": within,
    }
    action = {
        "type": "change-flow-run-state",
        "state": "CRASHED",
        "name": None,
        "message": (
            f"{NO_HEARTBEAT} {minutes}: its machine is gone, or cut off from this server. What it finished is in the "
            "ledger. A shard is sent again by the run that waits for it; start anything else again yourself"
        ),
        "force": False,
    }
    fields: dict[str, Any] = {
        "name": NAME,
        "description": "",
        "enabled": True,
        "tags": ["credit"],
        "trigger": trigger,
        "actions": [action],
        "actions_on_trigger": [],
        "actions_on_resolve": [],
    }
    made = AutomationCore.model_validate(fields)
    said = (
        f"Marks a run as Crashed that has sent no heartbeat for {minutes}: its machine is gone. Made by `make deploy`, "
        f"which leaves it alone once you change it or switch it off. [{_digest(made)}]"
    )
    return AutomationCore.model_validate({**fields, "description": said})


def _untouched(found: Automation) -> bool:
    """Whether what it does is still what an earlier `make deploy` made it do."""
    made = _MADE.search(found.description)
    return made is not None and made[1] == _digest(found)


def _digest(automation: AutomationCore) -> str:
    """Of what it does, however the server orders that."""
    parts = automation.model_dump(
        mode="json", include={"trigger", "actions", "actions_on_trigger", "actions_on_resolve"}
    )
    return sha256(canonical_json(_ordered(parts)))[:12]


def _ordered(value: Any) -> Any:
    """The same with every list sorted: in a trigger they are sets, and one action is no order."""
    if isinstance(value, dict):
        return {name: _ordered(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted((_ordered(each) for each in value), key=repr)
    return value
