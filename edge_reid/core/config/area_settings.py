"""Parts of a camera's picture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from edge_reid.core.config.section import Name, Seconds, Section

CornerShare = Annotated[float, Field(ge=0, le=1, strict=True)]


class MaskSettings(Section):
    """A part of the picture in which nobody is detected: a street, a screen, a poster."""

    points: Annotated[
        tuple[tuple[CornerShare, CornerShare], ...], Field(min_length=3, max_length=64)
    ]
    """Its corners, three at least, `[x, y]` in shares of the picture: `[0, 0]` is top left,
    `[1, 1]` bottom right. A person stands where the middle of the lower edge of their box is."""


class ZoneSettings(MaskSettings):
    """A part of the picture that has a name. Events tell it, and who enters and leaves is an event
    of its own.
    """

    name: Name
    """Of this zone, unlike that of any other of the camera."""
    loitering_s: Seconds | None = None
    """Somebody who has been in it for so long is told as `loitering`, once. Default: nobody is."""


class LineSettings(Section):
    """A line across the way of people: an event tells who crosses it, and in which direction."""

    points: Annotated[
        tuple[tuple[CornerShare, CornerShare], ...], Field(min_length=2, max_length=2)
    ]
    """Its two ends, as the corners of a mask. Who crosses it from the left to the right of somebody
    who looks from the first end to the second goes `in`; swap the ends to swap that."""
    name: Name
    """Of this line, unlike that of any other of the camera."""
    direction: Literal["both", "in", "out"] = "both"
    """Which crossings are told."""

    @field_validator("points")
    @classmethod
    def _has_two_ends(cls, points: tuple[Any, ...]) -> tuple[Any, ...]:
        if points[0] == points[-1]:
            raise ValueError("should be two ends that differ")
        return points
