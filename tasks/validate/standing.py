"""What is known of a study's faithfulness when its statement is made."""

from __future__ import annotations

from collections.abc import Callable

from infra.store import Store, StoreError, StoreUnavailable
from tasks.study import Study
from tasks.validate.storage import latest_validation
from tasks.validate.types import Validation
from tasks.validate.worlds import recipe_digest


def standing_validation(study: Study, store: Store, warn: Callable[[str], None]) -> Validation | None:
    """The newest validation of this study and recipe; None if there is none, or, with a warning, none that can be read: a
    statement that was worked for is not lost for a figure that stands beside it."""
    try:
        return latest_validation(store, study.name, recipe_digest(study))
    except StoreUnavailable:
        raise
    except StoreError as error:
        warn(f"the statement will not say how faithful its recipe is: {error}")
        return None
