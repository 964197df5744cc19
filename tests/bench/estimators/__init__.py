"""`make bench-estimators`: how good the credits of every estimator are, on games whose credits are known exactly.

    settings.py ─▶ jobs, the most informative first ─▶ run.py (processes) ─▶ archive.py (JSONL) ─▶ tables.py (Markdown)
                        problem.py: game + noise    ─▶ measure.py, join.py, shapiq_link.py

Every finished cell is kept under its setting and a digest of the sources that made it: an interrupted run goes on where
it was, a changed estimator is measured anew, and a table is made of what is there.
"""
