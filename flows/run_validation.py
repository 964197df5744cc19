"""Prove a study's credits from the command line: `python -m flows.run_validation deployments/studies/openmoji.yaml`.

Retrains coalitions from scratch, which takes many times as long as the study; what was made is never made again, so an
interrupted one goes on where it was. `--set validation.one_size=12` and the like say how much. `--pages docs/validation`
writes its page and pictures into a folder too, as Markdown for a repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml
from pydantic import ValidationError

from flows.command import in_own_process, parser_of, run
from infra.study_file import StudyFileError, load_preset
from tasks.study import Study
from tasks.validation_spec import ValidationSpec

SECTION = "validation."


def main() -> int:
    """Run `validate` on a preset; 0 if there is a page, 2 if the preset or what is asked is wrong."""
    parser = parser_of("flows.run_validation", __doc__)
    parser.add_argument("--pages", type=Path, metavar="FOLDER", help="write <study>.md and its pictures there too")
    arguments = parser.parse_args()
    return run(lambda: _main(arguments))


def _main(arguments: argparse.Namespace) -> int:
    study = load_preset(arguments.study, Study, [change for change in arguments.set if not change.startswith(SECTION)])
    asked = asked_by([change for change in arguments.set if change.startswith(SECTION)])
    return _validate(study, asked, arguments.pages) if arguments.inside else in_own_process("flows.run_validation")


def asked_by(changes: list[str]) -> ValidationSpec:
    """The section as changes of the form validation.field=value make it. Raises StudyFileError if they make none."""
    fields = {}
    for change in changes:
        name, equals, value = change.removeprefix(SECTION).partition("=")
        if not equals:
            raise StudyFileError(f"'{change}' is not a change; write validation.field=value")
        try:
            fields[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise StudyFileError(f"'{change}': the value is not YAML: {error}") from error
    try:
        return ValidationSpec.model_validate(fields)
    except ValidationError as error:
        wrong = [f"- {SECTION}{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise StudyFileError("\n".join(["this cannot be asked of a validation:", *wrong])) from error


def _validate(study: Study, asked: ValidationSpec, pages: Path | None) -> int:
    print("loading PyTorch and Prefect (some seconds)", flush=True)
    from flows.validate import validate  # imports Prefect, which reads its settings from the environment once
    from infra.cancelled import run_cancellable
    from tasks.evaluate.failures import TooManyFailures

    try:
        where = run_cancellable(validate, study, asked)
    except TooManyFailures as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\nPage:  {where}/validation.html")
    if pages is not None:
        _write_pages(study.name, pages)
    return 0


def _write_pages(study: str, folder: Path) -> None:
    from infra.settings import store_url
    from infra.store import Store
    from tasks.validate.page import page, pictures
    from tasks.validate.storage import latest_validation

    found = latest_validation(Store(store_url()), study)
    assert found is not None  # it was published a moment ago
    beside = folder / study
    beside.mkdir(parents=True, exist_ok=True)
    for name, content in pictures(found).items():
        (beside / name).write_bytes(content)
    (folder / f"{study}.md").write_text(page(found, folder=study), encoding="utf-8")
    print(f"Pages: {folder / study}.md")


if __name__ == "__main__":
    sys.exit(main())
