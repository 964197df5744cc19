"""A soak: a stack of its own, runs without end, and faults at random moments from a seed; then the books are checked.

    python -m tests.soak --minutes 10 [--seed 1] [--folder …]

    faults       which fault comes when: a plan, from the seed alone
    studies      what is run meanwhile: generated images, two small studies that change all the time
    world        the stack, and which of its processes plays which part
    runs         starts runs through the API, again and again, until each has a statement
    inflict      does to processes what the plan says
    watch        looks at ledger, latest.json and processes all along
    journal      what evaluating processes say of each training (shard, deploy: how it is put into the stack)
    accounting   lost, changed, planned, done, repeated: pure functions over what was seen
    leaks        does a series of sizes grow? Pure as well
    settle       the checks at rest, and the comparison with an undisturbed run
    report       JSON, a table, one plot

docs/soak.md says what is promised, how it is counted, and what came out.
"""
