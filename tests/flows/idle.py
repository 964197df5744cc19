"""A flow that does nothing, and is quick about it: for tests of who goes first."""

from __future__ import annotations

from prefect import flow


@flow(name="idle", persist_result=False)
def idle() -> None:
    """Nothing."""
