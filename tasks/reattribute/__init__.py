"""What has to be done since the last statement, and how little of it: before `attribute` is called again.

news        who came, went or changed; which epoch goes on; whether there is anything to do at all
increment   the study as it is run inside an epoch: what the ledger has counts, and only so much is evaluated besides
waiting     one run of a study at a time: whoever comes second waits, and then looks again
"""
