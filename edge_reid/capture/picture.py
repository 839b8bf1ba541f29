"""A picture as a decoder gives it, before anybody has judged it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edge_reid.capture.frame_slots import Layout
from edge_reid.core.camera_fault import CameraFault

_LOOKED_AT_ROWS = 90
"""So many rows of a picture are looked at, evenly spread: every twelfth of 1080. A digit of a
camera's own clock is taller."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Bytes in rows."""

    data: memoryview
    row_bytes: int
    rows: int
    stride: int
    """From the start of one row to that of the next, bytes."""

    def pieces(self) -> list[memoryview]:
        """All rows without the gaps between them, in as few pieces as may be."""
        if self.stride == self.row_bytes:
            return [self.data[: self.row_bytes * self.rows]]
        return [self._row(number) for number in range(self.rows)]

    def some_rows(self) -> list[memoryview]:
        """Of every part of the picture."""
        return [self._row(row) for row in range(0, self.rows, self.rows // _LOOKED_AT_ROWS or 1)]

    def _row(self, number: int) -> memoryview:
        start = number * self.stride
        return self.data[start : start + self.row_bytes]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPicture:
    """What a decoder gave, and how it came about."""

    planes: tuple[Plane, ...]
    layout: Layout
    width: int
    height: int
    captured_s: float
    """Monotonic."""
    kind: str = "?"
    """`I` can be decoded alone, `P` and `B` need others, `?` unknown."""
    errors: int = 0
    """Of the decoder since the picture before."""


class CannotReadError(Exception):
    """What a camera takes is not installed here, or its pictures are none that can be used.

    Args:
        camera: as it may be called, without a login.
        what: was expected, came, and is to be done.
    """

    def __init__(self, camera: str, what: str) -> None:
        self.fault = CameraFault("no-picture", f"{camera}: {what}")
        super().__init__(self.fault.line)


class PictureReader(Protocol):
    """Reads one camera, in the decoder's process."""

    @property
    def fps(self) -> float:
        """As far as known; 0 before."""

    @property
    def skipped(self) -> int:
        """Pictures left out undecoded, as they came faster than they could be decoded."""

    @property
    def refused(self) -> int:
        """Pictures that were larger than they may be."""

    def pictures(self) -> Iterator[DecodedPicture]:
        """Every picture as it comes, until the camera ends; then nothing more.

        Raises:
            ValueError: the address is none.
            CannotReadError: its pictures are none that can be used.
        """
