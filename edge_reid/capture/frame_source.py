"""What every source of frames offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from edge_reid.core.camera_fault import CameraFault
from edge_reid.core.types import Frame


class FrameSource(Protocol):
    """Where frames come from: a context manager and an iterator."""

    @property
    def fps(self) -> float:
        """As reported; 25 where that makes no sense."""

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""

    @property
    def is_live(self) -> bool: ...
    @property
    def frames_expected(self) -> int | None:
        """What the container promises; None for a live source, or when it does not say."""

    @property
    def dropped(self) -> int:
        """Frames read but never handed out, as newer ones came or they were damaged; 0 for a
        file.
        """

    @property
    def damaged(self) -> int:
        """Of the dropped frames, those that could not be decoded whole."""

    @property
    def reopened(self) -> int:
        """How often a live source was opened again since it was opened first; 0 for a file."""

    @property
    def lag_s(self) -> float:
        """Age of the newest frame of a live source when it could be handed out; 0.0 for a file."""

    @property
    def fault(self) -> CameraFault | None:
        """What is wrong with a live source now; None when all is well, and for a file."""

    def close(self) -> None: ...
    def __enter__(self) -> FrameSource: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:
        """The same frames; while none comes, `idle` is called about once a second."""
