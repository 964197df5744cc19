"""Keeping house: which weights and images in the store no kept statement needs, and their removal.

Statements and records of the ledger are never removed, so credits stay readable, and no evaluation is made twice.
"""

from tasks.housekeeping.types import Cleared, Group

__all__ = ["Cleared", "Group"]
