"""The automations for runs whose machine is gone: Prefect itself keeps them as they are, for ever.

A run sends a heartbeat every HEARTBEAT seconds (the job templates say so; Prefect's own default is three times as much). The
automation waits for the next one for WITHIN. That is more than three of the longer ones, so that a late one is no death, and
more than the ten minutes for which runs do without their server (infra.patience) and two heartbeats on top: a server that
comes back must hear from a run that is well before it counts it out.

A run has no heartbeat before it begins. One that was starting when the server went away has ended, as Prefect's client asks
only once for a server that it never reached, and its worker could not say so: the second automation cancels those. None is
needed for a run that nobody ends: Prefect marks what is Cancelling for five minutes as Cancelled, and has a worker tidy up.

Automations are edited in the UI, and their names are not unique. So the description ends with a digest of what was made
here: while trigger and actions still have it, nobody has changed them, and a new version may; otherwise they are somebody's,
and stay. One that is switched off stays so too.

They tell runs by the names of their flows, so that those too are counted out that no deployment started. A flow of somebody
else's on the same server that has the name of one of ours is treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.events.schemas.automations import Automation, AutomationCore

from infra.digest import canonical_json, sha256

NAME = "diffusion-credit: runs without heartbeat are Crashed"
NAME_UNBEGUN = "diffusion-credit: runs that never begin are Cancelled"
HEARTBEAT = 60.0  # seconds between two heartbeats of a run: PREFECT_FLOWS_HEARTBEAT_FREQUENCY in infra/templates
WITHIN = 900.0  # seconds without any after which its machine is taken to be gone
BEGINS_WITHIN = (
    3600.0  # seconds from a worker's taking a run to its beginning: a cluster may have to get a machine first
)
NO_HEARTBEAT = "no heartbeat for"  # how the message begins by which others tell that it was this automation
BEAT = "prefect.flow-run.heartbeat"
TAKEN = ("Pending", "Submitting", "InfrastructurePending")
# After these a run is over, or no process has it, for now.
_NO_PROCESS = (
    *("Completed", "Failed", "TimedOut", "Cancelled", "Crashed"),
    *("Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Late", "Paused", "Suspended"),
)
_MADE = re.compile(r"\[([0-9a-f]{12})\]\s*$")


@dataclass(frozen=True)
class Zombies:
    """What became of an automation. change: for people. enabled: whether it acts. ours: whether it is as this version makes
    it; if not, somebody changed it, and it was left alone."""

    name: str
    change: str
    enabled: bool
    ours: bool


@dataclass(frozen=True)
class _Rule:
    """After one of some events another is owed within some seconds; a run that owes it gets a state."""

    name: str
    after: tuple[str, ...]
    expect: tuple[str, ...]
    within: float
    state: str
    message: str  # of the state
    says: str  # the description begins so

    def automation(self, flows: Collection[str]) -> AutomationCore:
        """The same in Prefect's terms, for the runs of some flows."""
        trigger = {
            "type": "event",
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": sorted(flows)},
            "after": list(self.after),
            "expect": list(self.expect),
            "for_each": ["prefect.resource.id"],
            "posture": "Proactive",
            "threshold": 1,
            "within": self.within,
        }
        action = {
            "type": "change-flow-run-state",
            "state": self.state,
            "name": None,
            "message": self.message,
            "force": False,
        }
        fields: dict[str, Any] = {
            "name": self.name,
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
            f"{self.says} Made by `make deploy`, which leaves it alone once you change it or switch it off. "
            f"[{_digest(made)}]"
        )
        return AutomationCore.model_validate({**fields, "description": said})


def rules(within: float = WITHIN, begins_within: float = BEGINS_WITHIN) -> tuple[_Rule, ...]:
    """What is owed by runs that have begun, and by those that a worker took.

    Args:
        within: seconds without a heartbeat, at least three of its beats.
        begins_within: seconds from a worker's taking a run to its beginning.
    """
    over = _events(*_NO_PROCESS)
    minutes, begins = f"{within / 60:g} min", f"{begins_within / 60:g} min"
    again = "A shard is sent again by the run that waits for it; start anything else again yourself"
    return (
        _Rule(
            NAME,
            (BEAT,),
            (BEAT, *over, *_events("Cancelling")),
            within,
            "CRASHED",
            f"{NO_HEARTBEAT} {minutes}: its machine is gone, or cut off from this server. "
            f"What it finished is in the ledger. {again}",
            f"Marks a run as Crashed that has sent no heartbeat for {minutes}: its machine is gone. Drivers tell that from "
            f"a crash by the words '{NO_HEARTBEAT}' with which the message begins.",
        ),
        _Rule(
            NAME_UNBEGUN,
            _events(*TAKEN),
            # TAKEN too: the window opens anew when a run is taken a second time within it.
            (*over, *_events(*TAKEN, "Running", "Cancelling")),
            begins_within,
            # Not CANCELLED: Prefect lets that one begin, if it comes late, and has nobody tidy up what waits on a cluster.
            "CANCELLING",
            f"a worker took it, and it did not begin within {begins}: its machine went, or this server was away just then. "
            f"{again}",
            f"Cancels a run that a worker took and that did not begin within {begins}.",
        ),
    )


def counted_out(state: State[Any]) -> bool:
    """Whether it is of a run whose machine the first automation took for gone."""
    return state.is_crashed() and (state.message or "").startswith(NO_HEARTBEAT)


def _events(*states: str) -> tuple[str, ...]:
    """Those that a run's change to these states is."""
    return tuple(f"prefect.flow-run.{state}" for state in states)


def mark_zombies(
    client: SyncPrefectClient, flows: Collection[str], within: float = WITHIN, begins_within: float = BEGINS_WITHIN
) -> list[Zombies]:
    """Make the automations, or bring them up to date. Doing it again changes nothing.

    Args:
        flows: names of the flows whose runs they mark; runs of others are none of their business.
        within, begins_within: seconds, as in `rules`.
    """
    return [_make(client, rule.automation(flows)) for rule in rules(within, begins_within)]


def _make(client: SyncPrefectClient, wanted: AutomationCore) -> Zombies:
    name = wanted.name
    there = client.read_automations_by_name(name)
    if not there:
        client.create_automation(wanted)
        return Zombies(name, "made", True, True)
    found = min(there, key=lambda each: not _untouched(each))  # others of the name are somebody's, made in the UI
    as_wanted, untouched = _digest(found) == _digest(wanted), _untouched(found)
    if as_wanted and (found.description == wanted.description or not untouched):
        return Zombies(name, "as it was", found.enabled, True)
    if not untouched:
        return Zombies(name, "left as somebody changed it", found.enabled, False)
    client.update_automation(found.id, wanted.model_copy(update={"enabled": found.enabled}))
    return Zombies(name, "brought up to date", found.enabled, True)


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
