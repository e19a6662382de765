"""What all models of configs have in common."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Strict"]


class Strict(BaseModel):
    """Unknown fields and values of another type (a string for a number) are errors; whole numbers pass as floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
