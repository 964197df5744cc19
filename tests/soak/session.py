"""One soak from the first run to the last check, and what came out of it."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from infra.settings import store_url
from infra.store import Store
from tests.soak import faults, journal, report, settle
from tests.soak.accounting import INTERRUPTED, SIDE_BY_SIDE, TIDIED, Disturbance, repeats, trainings
from tests.soak.faults import Fault
from tests.soak.inflict import Inflictor
from tests.soak.runs import Lane, Runs
from tests.soak.studies import PLAIN, STUDIES, joining, plain
from tests.soak.watch import Watch, records, statements, undone
from tests.soak.world import World

T = TypeVar("T")


class Session:
    """Runs, faults and looks at once; then rest and checks. The stack must be up, and stays up."""

    def __init__(self, world: World, plan: tuple[Fault, ...]) -> None:
        self.world, self.plan = world, plan
        self.runs, self.watch = Runs(world), Watch(world)
        self._hold, self._stop = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self.lanes = [
            Lane(self.runs, make, self._hold, self._stop, lambda: self._deadline)
            for make in (lambda number: plain(number, world.plain_data), joining)
        ]
        self.inflictor = Inflictor(world, self.runs, self.lanes, self._hold)
        self.began = time.time()
        self.found: dict[str, Any] = {}
        self.troubles: list[str] = []  # what could not be looked at, and why

    def run(self, finish: float) -> None:
        """Soak. finish: seconds after the last fault, within which each study must have its statement."""
        world = self.world
        self.watch.start()
        for lane in self.lanes:
            lane.start()
        self.began = time.time()
        try:
            self._checked("the faults", lambda: self.inflictor.run(self.plan, self.began), None)
        except BaseException:  # Ctrl-C: whoever was stopped must go on, so that the stack can end
            self.inflictor.rest(0)
            raise
        self._stop.set()
        self._deadline = time.time() + finish
        self.inflictor.rest(finish)
        world.say("no more faults; waiting for what is under way")
        for lane in self.lanes:
            lane.join(finish + 60)
        self._check_at_rest()

    def _checked(self, what: str, look: Callable[[], T], otherwise: T) -> T:
        """What a look finds; if it fails, the report says so, for that is when a report is wanted most."""
        try:
            return look()
        except Exception as error:
            self.troubles.append(f"{what}: {type(error).__name__}: {error}")
            return otherwise

    def _check_at_rest(self) -> None:
        world, store = self.world, Store(store_url())
        none: list[str] = []
        unread: dict[str, str] | None = None
        left = self._checked("flow runs under way", settle.wait_for_rest, none)
        number = settle.most_disturbed(self.runs.tries)
        said: str | None = f"{PLAIN} has no statement"
        again, same = 0, (False, f"not compared: {PLAIN} has no statement")
        made = trainings(journal.read(world.journal))
        if number is not None:
            world.say("everything rests; one study is run again, and once more by itself")
            generation = settle.generation_of(world, number)
            failed: tuple[str | None, int] = "it could not be looked at", 0
            said, again = self._checked("the run at rest", lambda: self._again(generation), failed)
            made = trainings(journal.read(world.journal))
            same = False, "not compared: the study had no statement at rest"
            if said is None:
                same = self._checked(
                    "the comparison", lambda: settle.compare(world, generation), (False, "not compared")
                )
        self.watch.stop()
        self._checked("the ledger", self.watch.look_at_ledger, None)
        now = self._checked("the ledger", lambda: records(store), unread)
        whole, half, wrong = self._checked("statements", lambda: statements(store), (none, none, none))
        self.found |= {
            "generation": number,
            "again": (said, again),
            "same": same,
            "under_way": left,
            "leases": self._checked("leases", lambda: settle.leases(store), none),
            "lost": [] if now is None else sorted(self.watch.book.lost(now)),  # what could not be read is in troubles
            "undone": undone(self.watch.planned, now or {}),
            "now": now or {},
            "whole": whole,
            "half": half,
            "wrong_statements": wrong,
            "made": made,
        }

    def _again(self, generation: Any) -> tuple[str | None, int]:
        before = len(journal.read(self.world.journal))
        said = settle.run_again(self.runs, generation)
        events = journal.read(self.world.journal)[before:]
        return said, sum(event["event"] == "began" for event in events)

    def result(self) -> dict[str, Any]:
        """All figures, and what is wrong in words. Call it when the stack has ended."""
        world, watch, found = self.world, self.watch, self.found
        again = repeats(found["made"], *self._disturbances())
        why = Counter(each.why or "unexplained" for each in again)
        runs: dict[str, Counter[str]] = defaultdict(Counter)
        for each in self.runs.tries:
            runs[each.what]["started"] += 1
            runs[each.what][each.how or "never ended"] += 1
        last = max((each.at for each in self._disturbances()[0]), default=self.began)  # gc may come long after it
        under_faults = [
            t for t in self.runs.tries if t.what in STUDIES and t.how == "completed" and (t.ended or 0) <= last
        ]
        strangers, litter = world.strangers(), world.litter()
        result: dict[str, Any] = {
            "faults": report.counted(self.inflictor.done),
            "runs": {what: dict(count) for what, count in runs.items()},
            "believed_running": self.runs.believed_running,
            "generations": {lane.study: lane.done for lane in self.lanes},
            "evaluations": {
                "planned (sent to workers)": len(watch.planned),
                "done": len(watch.planned) - len(found["undone"]),
                "planned, not done": len(found["undone"]),
                "records in the ledger": len(found["now"]),
                "lost": found["lost"],
                "changed": sorted(watch.book.changed),
                "listed incompletely": watch.book.listed_incompletely,
                "trainings begun": len(found["made"]),
                "  before the last fault": sum(each.began <= last for each in found["made"]),
                "trained again": len(again),
                "  interrupted": why[INTERRUPTED],
                "  side by side": why[SIDE_BY_SIDE],
                "  tidied up": why[TIDIED],
                "  unexplained": [each.training.key[:12] for each in again if each.why is None],
                "trained in the run at rest": found["again"][1],
            },
            "statements": {
                "published before the last fault": len(under_faults),
                "whole": len(found["whole"]),
                "half": found["half"],
                "wrong": found["wrong_statements"],
            },
            "latest": {
                study: f"{seen.looks} looks, {seen.unanswered} unanswered, {len(seen.runs)} statements, "
                f"{len(seen.wrong)} times not whole"
                for study, seen in watch.latest.items()
            },
            "latest_wrong": {study: seen.wrong for study, seen in watch.latest.items()},
            "left_behind": {
                "processes after stack down": strangers,
                "flow runs under way": found["under_way"],
                "leases held": found["leases"],
                "locks held": world.locks(),
                "temporary files": litter,
                "processes killed": self.inflictor.killed,
            },
            "processes": report.processes(watch.sizes),
            "leaks": report.leaks(watch.sizes),
            "undisturbed": {"same": found["same"][0], "said": found["same"][1], "generation": found["generation"]},
            "tries": self.runs.as_rows(),
            "inflicted": [each.as_row() for each in self.inflictor.done],
        }
        result["wrong"] = self._wrong(result)
        return result

    def _wrong(self, result: dict[str, Any]) -> list[str]:
        """Whatever must not be, in sentences."""
        evaluations, left = result["evaluations"], result["left_behind"]
        wrong = [f"{what}: {evaluations[what]}" for what in ("lost", "changed", "  unexplained") if evaluations[what]]
        wrong += [f"half statement: {folder}" for folder in result["statements"]["half"]]
        wrong += result["statements"]["wrong"]
        wrong += [f"{study}: {text}" for study, texts in result["latest_wrong"].items() for text in texts]
        wrong += [f"{lane.study}: {lane.given_up}" for lane in self.lanes if lane.given_up]
        wrong += [f"{lane.study} did not end" for lane in self.lanes if lane.is_alive()]
        if said := self.found["again"][0]:
            wrong.append(f"a study could not be run at rest: {said}")
        if evaluations["trained in the run at rest"]:
            wrong.append(f"a finished study trained {evaluations['trained in the run at rest']} models again")
        if not result["undisturbed"]["same"]:
            wrong.append(f"not the credits of an undisturbed run: {result['undisturbed']['said']}")
        for what in ("processes after stack down", "flow runs under way", "leases held", "locks held"):
            wrong += [f"{what}: {text}" for text in left[what]]
        if len(left["temporary files"]) > left["processes killed"]:  # one that is killed cannot remove its own
            wrong.append(f"more temporary files than processes were killed: {left['temporary files']}")
        wrong += [*self.watch.troubles, *self.inflictor.troubles, *self.troubles]
        return wrong

    def _disturbances(self) -> tuple[list[Disturbance], list[Disturbance]]:
        done = [Disturbance(each.at, each.until, each.fault.kind) for each in self.inflictor.done if each.to]
        tidied = [each for each in done if each.kind in (faults.TIDY_UP, faults.OPT_OUT)]
        return [each for each in done if each not in tidied], tidied

    def draw(self, path: Path) -> None:
        """The plot."""
        report.draw(self.watch, self.inflictor.done, self.began, path)

    def table(self, result: dict[str, Any]) -> str:
        """The result for people."""
        return report.table(result)
