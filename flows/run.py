"""Run a study from the command line: `python -m flows.run deployments/studies/openmoji.yaml`.

Uses the Prefect API that answers; starts one for the length of the run if none does.
"""

from __future__ import annotations

import argparse
import sys

from flows.command import in_own_process, parser_of, run
from infra.study_file import load_preset
from tasks.study import Study


def main() -> int:
    """Run `attribute` on a preset; 0 if a statement was published, 2 if the preset is wrong."""
    arguments = parser_of("flows.run", __doc__).parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, arguments.set)
    return _attribute(study) if arguments.inside else in_own_process("flows.run")


def _attribute(study: Study) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.attribute import attribute  # imports Prefect, which reads its settings from the environment once
    from infra.cancelled import run_cancellable
    from tasks.evaluate.failures import TooManyFailures

    try:
        where = run_cancellable(attribute, study)
    except TooManyFailures as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nStatement:  {where}/report.html\nTable:      {where}/credits.csv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
