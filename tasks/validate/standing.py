"""What is known of a study's faithfulness when its statement is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from infra.store import Store, StoreError, StoreUnavailable
from tasks.study import Study
from tasks.validate.storage import latest_validation
from tasks.validate.types import Validation
from tasks.validate.worlds import estimation_digest, recipe_digest


def standing_validation(
    study: Study, contributors: Sequence[str], store: Store, warn: Callable[[str], None]
) -> Validation | None:
    """The newest validation of this study and recipe; None if there is none, or, with a warning, none that can be read: a
    statement that was worked for is not lost for a figure that stands beside it."""
    try:
        found = latest_validation(store, study.name, recipe_digest(study))
    except StoreUnavailable:
        raise
    except StoreError as error:
        warn(f"the statement will not say how faithful its recipe is: {error}")
        return None
    if found is None or found.estimation == estimation_digest(study, contributors):
        return found
    # What it says of values stands; the credits that it judged were of other people, or were estimated otherwise.
    return found.model_copy(
        update={"properties": tuple(p.model_copy(update={"methods": ()}) for p in found.properties)}
    )
