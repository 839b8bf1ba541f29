"""What sources of recordings have in common: no frame is lost, and none is waited for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

from edge_reid.core.closed_after_use import ClosedAfterUse
from edge_reid.core.types import Frame


class RecordedSource(ClosedAfterUse):
    """A `FrameSource` that is not live; iterating gives every frame, in order."""

    is_live = False
    dropped = damaged = reopened = 0
    lag_s = 0.0
    fault = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def frames(self, idle: Callable[[], None]) -> Iterator[Frame]:  # noqa: ARG002
        """As by iteration: a recording always has a frame, so that `idle` is never called."""
        return iter(self)
