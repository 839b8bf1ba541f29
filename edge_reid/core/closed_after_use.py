"""What is closed when the block of its `with` is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

S = TypeVar("S", bound="ClosedAfterUse")


class ClosedAfterUse(ABC):
    """Something that is closed at the end of a `with`, however that ends."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; a second time it does nothing."""

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
