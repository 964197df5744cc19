"""A contributor opts out: what of theirs is in the store goes, and they are left out until they return.

past      who was in which statement, and by which fingerprints
find      what of theirs is in the store
remove    tombstone, removal in an order that survives a crash, log
"""

from tasks.opt_out.types import Left

__all__ = ["Left"]
