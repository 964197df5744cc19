"""Steps 2 and 3: the reference model and the pruned model that every coalition starts from, once an epoch.

    images of the epoch ──▶ reference ──▶ pruned, recovered ──▶ (tasks.evaluate: one coalition after another)

What is done with a network in hand (train, prune, sample) is `tasks.model`; what kind of network it is, `tasks.families`.
"""
