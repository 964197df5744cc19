"""What is said of evaluations: under the bar, as names of task runs, in the log."""

from __future__ import annotations

from tasks.evaluate.jobs import Job, Outcome
from tasks.plan.plan import Plan
from tasks.publish.rounds import say_round
from tasks.study import Study


def description(study: Study, plan: Plan) -> str:
    """What stands under the bar: how much there is to do, and with a stop rule how much there may still be."""
    said = f"{len(plan.jobs)} evaluations, {len(plan.cached)} of them found in the ledger"
    if not study.estimation.in_rounds or plan.purpose != "evaluations":
        return said
    said = f"Round {len(plan.rounds) + 1}: {said}; {plan.draws} of at most {study.estimation.budget} of the budget"
    if not plan.rounds:
        return said
    return "\n\n".join([said, *say_round(plan.rounds[-1], study.estimation.stop_level)])


def label(job: Job, position: int, contributors: int) -> str:
    """A task run's name: number, how many contributors, what for."""
    kind = {"baseline": "empty", "grand": "everybody"}.get(job.role, f"{len(job.members)}-of-{contributors}")
    return f"{position:04d}-{kind}" + (f"-seed-{job.seed}" if job.role == "audit" else "")


def summary(job: Job, outcome: Outcome) -> str:
    """One line about one evaluation."""
    who = "nobody" if not job.names else f"{len(job.names)} contributors"
    values = ", ".join(f"{name} {value:.4g}" for name, value in outcome.values.items())
    failed = "; ".join(f"{name} failed: {why.partition(chr(10))[0]}" for name, why in outcome.failures.items())
    said = "; ".join(part for part in (values, failed) if part)
    return f"{who}, seed {job.seed}: {said} in {sum(outcome.seconds.values()):.1f} s"
