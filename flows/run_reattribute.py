"""Re-attribute a study from the command line: `python -m flows.run_reattribute deployments/studies/openmoji.yaml`.

Uses the Prefect API that answers; starts one for the length of the run if none does.
"""

from __future__ import annotations

import argparse
import sys

from flows.command import in_own_process, parser_of, run
from infra.study_file import load_preset
from tasks.study import Study


def main() -> int:
    """Run `reattribute` on a preset; 0 if there is a statement that stands, 2 if the preset is wrong."""
    parser = parser_of("flows.run_reattribute", __doc__)
    parser.add_argument("--new-epoch", action="store_true", help="reference and pruned model anew, from today's images")
    arguments = parser.parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, arguments.set)
    return _reattribute(study, arguments.new_epoch) if arguments.inside else in_own_process("flows.run_reattribute")


def _reattribute(study: Study, new_epoch: bool) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.reattribute import reattribute  # imports Prefect, which reads its settings from the environment once
    from infra.cancelled import run_cancellable
    from tasks.evaluate.failures import TooManyFailures

    try:
        where = run_cancellable(reattribute, study, new_epoch)
    except TooManyFailures as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nStatement:  {where}/report.html\nTable:      {where}/credits.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
