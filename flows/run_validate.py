"""Check a study's data and see what a run would cost: `python -m flows.run_validate deployments/studies/openmoji.yaml`.

Trains nothing and stores nothing. `--json` prints what was found for another program.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from flows.command import in_own_process, parser_of, run
from infra.study_file import load_preset
from tasks.study import Study


def main() -> int:
    """Run `validate-data` on a preset; 0 if the study could be run, 2 if the preset is wrong."""
    parser = parser_of("flows.run_validate", __doc__)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON too, on a line of its own")
    arguments = parser.parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, arguments.set)
    return _validate(study, arguments.json) if arguments.inside else in_own_process("flows.run_validate")


def _validate(study: Study, as_json: bool) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.validate_data import validate_data  # imports Prefect, which reads its settings from the environment once
    from tasks.evaluate.failures import TooManyFailures

    try:
        found = validate_data(study)
    except TooManyFailures as error:
        print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(dataclasses.asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
