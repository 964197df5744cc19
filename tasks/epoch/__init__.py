"""What must stay as it is for evaluations to be comparable: which epoch a run belongs to, and having made what it rests on.

    records   epochs as they lie in the store
    choose    which one goes on, or why a new one opens
    current   the two together, for a study and today's images
    lacking   what of an epoch is not in the store yet; made here, or on a work pool where the driver has no card

What it froze is `tasks.frozen`, which also rooms know that must not know how an epoch is chosen.
"""
