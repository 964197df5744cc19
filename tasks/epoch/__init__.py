"""What an epoch rests on (reference statistics, reference, pruned model), made on a work pool.

Whoever drives a study on a work pool may have no card, so these are sent away as well: once an epoch, and only if something
is lacking. Afterwards the driver's own steps find all of it in the store.
"""
