"""A user's module that fails while it is imported."""

raise RuntimeError("the weights of my aesthetic model are not here")
