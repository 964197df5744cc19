"""What the orchestration costs: real dispatch, a real Prefect server, real process workers and stores, and evaluations that
only sleep. `python -m tests.bench.orchestration`; what was measured is in docs/orchestration-measured.md.

    __main__   which cells to measure, and the table
    cells      one cell: a store, a pool with workers, a driver
    driver     a process: a flow that plans and dispatches, and counts what it asks the API
    recognise  a process: how long it takes to find evaluations in the ledger
    sleeping   the flow that the workers run: `evaluate-shard` with another evaluator
    game       studies, plans and records of evaluations that nobody made
    tables     figures as text
"""
