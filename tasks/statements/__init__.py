"""What a study has published so far: reading it back, and what has changed since.

    read        statements as they lie in the store
    people      who joined, left, changed their images or their name since one
    moved       whose credits are others, by more than the two intervals leave open
    comparable  whether two statements' figures are of the same thing
    standing    what the epoch on which a statement stands costs
    history     everybody's credits over time
    types       what all of this is said in

Plain functions: nothing here trains, estimates or publishes, and only `task` knows Prefect.
"""
