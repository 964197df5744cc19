"""Before a study: what a run would do and cost, from the data and the ledger alone. Nothing is trained, nothing stored."""

from tasks.preview.types import Measured, Preview, Step, Storage, Work

__all__ = ["Measured", "Preview", "Step", "Storage", "Work"]
