"""A contributor's credit checked with coalitions of their own, trained from random weights."""
