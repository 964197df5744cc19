"""What all sections of a study have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: immutable, and a typo in a field's name is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
