"""Keep house in the store: `python -m flows.run_gc` lists what no kept statement needs, `--delete` deletes it.

Statements and records of the ledger are never deleted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from flows.command import in_own_process, parser_of, run


def main() -> int:
    """Run `collect-garbage`; 1 if it was refused."""
    parser = parser_of("flows.run_gc", __doc__, of_a_study=False)
    parser.add_argument(
        "--delete", action="store_true", help="delete what can go; refused while any study is being run"
    )
    parser.add_argument("--older-than-days", type=float, default=7.0, help="what was written since is kept (default 7)")
    parser.add_argument("--keep-study", action="append", default=[], metavar="NAME", help="of this study only (repeat)")
    parser.add_argument(
        "--latest-only", action="store_true", help="of each study, keep what its latest statement needs"
    )
    parser.add_argument("--retired-epochs", action="store_true", help="also models that could never come out the same")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON too, on a line of its own")
    arguments = parser.parse_args()
    return run(lambda: _collect(arguments) if arguments.inside else in_own_process("flows.run_gc"))


def _collect(arguments: argparse.Namespace) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.collect_garbage import collect_garbage  # imports Prefect, which reads its settings from the environment

    found = collect_garbage(
        keep_studies=tuple(arguments.keep_study),
        keep_statements="latest" if arguments.latest_only else "all",
        retired_epochs=arguments.retired_epochs,
        older_than_days=arguments.older_than_days,
        delete=arguments.delete,
    )
    if not found.deleted and found.count:
        print("Nothing was deleted. To delete it: make gc DELETE=1, or --delete")
    if arguments.json:
        print(json.dumps(dataclasses.asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
