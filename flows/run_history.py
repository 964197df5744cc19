"""Each contributor's credit over time: `python -m flows.run_history openmoji` makes the page studies/openmoji/history.html.

It is made from the statements in the store, and computes no credit.
"""

from __future__ import annotations

import argparse
import sys

from flows.command import in_own_process, parser_of, run


def main() -> int:
    """Run `history`; 1 if there are no statements of that name."""
    parser = parser_of("flows.run_history", __doc__, of_a_study=False)
    parser.add_argument("name", help="name of the study, as in its preset")
    arguments = parser.parse_args()
    return run(lambda: _history(arguments) if arguments.inside else in_own_process("flows.run_history"))


def _history(arguments: argparse.Namespace) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.history import history  # imports Prefect, which reads its settings from the environment

    print(f"\nHistory: {history(arguments.name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
