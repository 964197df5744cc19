"""Evaluations on a work pool: cut into shards, sent, and gathered from the ledger.

    driver                       store                            a worker of the pool
    sizing: how many? ────────▶ shards/<d>.json (jobs) ─────────▶ evaluates one after another
    dispatch: send, wait  ◀──── shards/reports/<run>.json ◀────── what came out
                          ◀──── ledger: of a run that was killed, whatever it had finished

Two digests are all that a flow run is told; what they name is JSON and safetensors, checked on reading.
"""
