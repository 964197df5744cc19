"""Run a study on the stack of this machine: `python -m flows.run_deployed deployments/studies/openmoji.yaml`.

Starts the stack if it is not up, and leaves it up. The run is started as anybody would in the Prefect UI, by the deployment
`attribute/<study>`, or `attribute/openmoji` for a preset that was not deployed; workers do the work. What it says is printed
here, and Ctrl-C cancels it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flows.command import parser_of, run
from flows.stack import say, start
from infra.server import end_on_terminate
from infra.settings import STATE_FOLDER
from infra.stack.files import State, read_settings
from infra.stack.types import Files, StackError
from infra.study_file import load_preset
from tasks.study import Study

if TYPE_CHECKING:
    from infra.deployed_run import DeployedRun

ANY = "attribute/openmoji"  # takes any study as its parameter
COPIED = ("report.html", "credits.csv")


def main() -> int:
    """Run a preset on the stack; 0 if a statement was published, 1 if the run failed, 2 if the preset is wrong."""
    parser = parser_of("flows.run_deployed", __doc__)
    parser.add_argument("--folder", type=Path, default=STATE_FOLDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    end_on_terminate()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, [*arguments.set, "execution.mode=work_pool"])
    state = start(arguments.folder)
    os.environ.update(
        read_settings(Files(arguments.folder))
    )  # before Prefect is imported, which reads its settings once
    from infra.deployed_run import NoDeployment

    try:
        begun = _begin(study)
    except NoDeployment as error:
        raise StackError(f"the Prefect server has no deployment {error}; end the stack and start it again") from error
    page = f"{state.ui}/runs/flow-run/{begun.id}"
    say(f"run started: {page}")
    try:
        last = begun.follow(say)
    except (KeyboardInterrupt, SystemExit):
        say("cancelling the run; Ctrl-C again leaves it to itself")
        last = begun.cancel(say)
        how = "was cancelled" if last.is_final() else f"was asked to end; its state is {last.name} still"
        print(f"the run {how}. What it evaluated is kept: {page}", file=sys.stderr)
        return 130
    if not last.is_completed():
        reason = (last.message or "it says nothing").partition("\n")[0]  # all of it has been in its log
        print(f"the run did not succeed, its state is {last.name}: {reason}\nall of it: {page}", file=sys.stderr)
        return 1
    _show(study, begun, arguments.folder, state)
    return 0


def _begin(study: Study) -> DeployedRun:
    from infra.deployed_run import DeployedRun, NoDeployment

    parameters = {"study": study.model_dump(mode="json")}
    own = f"attribute/{study.name}"
    try:
        return DeployedRun(own, parameters, say)
    except NoDeployment:
        say(f"{own} is not deployed; {ANY} runs the study")
        return DeployedRun(ANY, parameters, say)


def _show(study: Study, begun: DeployedRun, folder: Path, state: State) -> None:
    """Say where the statement is, and copy what people read out of the bucket: a browser opens no s3:// address."""
    from infra.settings import store_url
    from infra.store import Store

    store = Store(store_url())
    mark = f"-{str(begun.id)[:8]}/manifest.json"
    (manifest,) = (key for key in store.list(f"studies/{study.name}") if key.endswith(mark))
    statement = manifest.removesuffix("/manifest.json")
    copies = folder / "reports" / study.name
    copies.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        (copies / name).write_bytes(store.read(f"{statement}/{name}"))
    print(
        f"\nStatement:  {store.where(statement)}/report.html"
        f"\nCopies:     {', '.join(str(copies / name) for name in COPIED)}"
        f"\nPrefect UI: {state.ui}/runs/flow-run/{begun.id}"
        f"\nThe stack is still up; make stack-down ends it"
    )


if __name__ == "__main__":
    sys.exit(main())
