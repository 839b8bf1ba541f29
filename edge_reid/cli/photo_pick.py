"""Which person of a photo is meant, as it is typed; and whom that is, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_reid.core.errors import UsageError
from edge_reid.core.foreign_text import TYPED_MAX, shown
from edge_reid.core.geometry import Box
from edge_reid.enrolment.photo_embedding import EmbeddedPhoto, Pick
from edge_reid.vision.unclear_photo import box_text

_MOST_DIGITS = 9
"""Of a number; Python refuses to read one of more than some thousand."""


def parse_pick(box: str | None, photos: Sequence[Path], *, largest: bool) -> Pick:
    """From the options `--box` and `--largest`.

    Raises:
        UsageError: the box is neither a number from 1 on nor `x1,y1,x2,y2` with x1 < x2 and
            y1 < y2; it is given for several photos; or both options are.
    """
    if box is None:
        return Pick(None, largest)
    if largest:
        raise UsageError("expected --box or --largest, got both; give one")
    if len(photos) > 1:
        raise UsageError(f"--box belongs to one photo, got {len(photos)}; give them one by one")
    return Pick(number=_parse_number(box)) if "," not in box else Pick(_parse_box(box))


def photo_line(photo: EmbeddedPhoto) -> str:
    """Which box, why, and how good it is."""
    score = "" if photo.score is None else f", score {photo.score:.2f}"
    return (
        f"{photo.path}: {box_text(photo.box)} ({photo.origin.value}{score}, "
        f"quality {photo.embedding.quality:.2f})"
    )


def _parse_number(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    number = int(text) if is_number else 0
    if number < 1:
        raise UsageError(
            f"--box: expected the number of a person, from 1, or x1,y1,x2,y2 in pixels, got "
            f"{shown(text, TYPED_MAX)!r}; without --box the numbers are told"
        )
    return number


def _parse_box(text: str) -> Box:
    given = shown(text, TYPED_MAX)
    try:
        x1, y1, x2, y2 = (float(side) for side in text.split(","))
    except ValueError:
        raise UsageError(f"--box: expected x1,y1,x2,y2 in pixels, got {given!r}") from None
    if not (x1 < x2 and y1 < y2):
        raise UsageError(f"--box: expected x1 < x2 and y1 < y2, got {given!r}")
    return Box(x1, y1, x2, y2)
