"""Step 4: what to evaluate, given the study and the ledger."""

from tasks.plan.plan import Plan, make_plan

__all__ = ["Plan", "make_plan"]
