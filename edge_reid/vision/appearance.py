"""What somebody looks like, where places alone leave open who is who."""

from __future__ import annotations

from typing import Protocol

from edge_reid.core.types import Detection


class Appearance(Protocol):
    """Compares detections of one frame with what was seen of tracks before."""

    def can_tell(self, track_id: int, detection: Detection) -> bool:
        """Whether there is something to compare. It embeds nothing, and is asked of near pairs."""

    def evidence(self, track_id: int, detection: Detection) -> float | None:
        """Natural logarithm of how many times likelier a detection looks as it does if it shows the
        person of this track than if it shows somebody else; None where there is nothing to compare
        after all, or no time left.

        It may cost an embedding, so it is asked of contested pairs only.
        """
