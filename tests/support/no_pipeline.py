"""In the place of a pipeline, where an agent has no camera."""

from __future__ import annotations

from edge_reid.matching.index import Index


class NoPipeline:
    """Has nothing to do."""

    def use(self, index: Index, threshold: float) -> None:
        """Nobody is matched."""
