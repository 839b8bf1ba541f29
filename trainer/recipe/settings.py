"""What the parts of a recipe have in common: frozen, and no unknown keys."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Positive: TypeAlias = Annotated[float, Field(gt=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A part of something, or a chance."""
BackboneName: TypeAlias = Literal["mobilenetv2", "mobilenetv3-small", "mobilenetv3-large", "osnet"]


class Settings(BaseModel):
    """Base of every part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")
