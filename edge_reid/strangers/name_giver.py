"""Anonymous names for the unknown people among hits: the one interface of both who give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_reid.core.types import Hit


class NameGiver(Protocol):
    """Gives names, or none where nobody is to be remembered, and forgets people in time."""

    def assign(self, hits: Sequence[Hit], min_crops: int) -> tuple[Hit, ...]:
        """The hits in their order, those of unknown people with their names where they have one.

        Args:
            hits: of one frame.
            min_crops: a track of fewer crops is too little to know anybody by.
        """

    def forget_due(self) -> None:
        """Overwrite whoever was not seen for too long. Call it often: it looks now and then."""
