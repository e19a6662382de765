"""What all models of configs have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Positive", "Strict", "tag_of"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Unknown fields and values of another type (a string for a number) are errors; whole numbers pass as floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def tag_of(base: str, table: Any) -> str | None:
    """By which name of a model pydantic goes on; None where the table is none or does not say its kind."""
    kind = table.get("kind") if isinstance(table, dict) else getattr(table, "kind", None)
    return None if kind is None else f"{base}.{kind}"
