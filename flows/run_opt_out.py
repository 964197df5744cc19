"""A contributor opts out: `python -m flows.run_opt_out "Emily Jäger"`; with `--return` they are back.

Removes their uploads, all prepared images, and weights and images of coalitions in which they were; says what stays until
the next epoch. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import sys

from flows.command import in_own_process, parser_of, run


def main() -> int:
    """Run `opt-out`; 1 if it was refused."""
    parser = parser_of("flows.run_opt_out", __doc__, of_a_study=False)
    parser.add_argument("contributor", metavar="NAME", help="exactly as a statement has it")
    parser.add_argument("--return", dest="returning", action="store_true", help="they return")
    parser.add_argument("--by", default=None, help="who asked for it, for the record; default: your user name")
    parser.add_argument("--unknown-name", action="store_true", help="also if no statement and no upload has that name")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON too, on a line of its own")
    arguments = parser.parse_args()
    return run(lambda: _opt_out(arguments) if arguments.inside else in_own_process("flows.run_opt_out"))


def _opt_out(arguments: argparse.Namespace) -> int:
    print("loading Prefect (some seconds)", flush=True)
    from flows.opt_out import opt_out  # imports Prefect, which reads its settings from the environment

    by = arguments.by or getpass.getuser()
    left = opt_out(arguments.contributor, by, arguments.returning, arguments.unknown_name)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(left)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
