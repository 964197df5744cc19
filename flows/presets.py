"""The build step that gives a deployment its study: read from a preset, so that no study is written down twice.

In deployments/prefect.yaml:

    build:
      - flows.presets.preset:
          id: mine
          path: deployments/studies/mine.yaml
          set: [execution.mode=work_pool]
    parameters:
      study: "{{ mine.study }}"
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.study_file import load_preset
from tasks.study import Study


def preset(path: str, set: Sequence[str] = ()) -> dict[str, Any]:
    """Read a preset.

    Args:
        path: of the YAML file, from the repository's root.
        set: changes, "section.field=value" each.

    Returns:
        {"study": …}: the whole study as JSON, defaults filled in, as it fills the form in the UI.

    Raises:
        StudyFileError: if the file is not there or does not describe a study.
    """
    return {"study": load_preset(Path(path), Study, set).model_dump(mode="json")}
