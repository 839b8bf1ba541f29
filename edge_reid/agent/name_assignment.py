"""Who has which name among the open tracks of a camera: nobody is in two places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_reid.agent.track_state import TrackState
from edge_reid.core.types import Known, Uncertain, Unknown


class NameAssignment:
    """A view of the open tracks by the names they have, or would have.

    Args:
        tracks: all open tracks by `track_id`; looked at anew with every question.
    """

    def __init__(self, tracks: Mapping[int, TrackState]) -> None:
        self._tracks = tracks

    def holders(self, identity: str, track_id: int) -> Iterator[tuple[int, TrackState]]:
        """The tracks that are taken for somebody, but this one."""
        for number, state in self._tracks.items():
            held = state.held
            if number != track_id and isinstance(held, Known) and held.identity == identity:
                yield number, state

    def is_elsewhere(self, decision: Known, track_id: int) -> bool:
        """Whether another track is taken for this identity and looks no less like it."""
        return any(
            isinstance(state.held, Known) and state.held.similarity >= decision.similarity
            for _, state in self.holders(decision.identity, track_id)
        )

    def waiting(self, held: Known | Unknown | None) -> set[int]:
        """Tracks that may have a name that another one leaves."""
        if not isinstance(held, Known):
            return set()
        return {number for number, state in self._tracks.items() if _waits(state, held.identity)}

    def is_wanted(self, identity: str, track_id: int) -> bool:
        """Whether another track has this name too, or only lacks it because of this one."""
        return any(True for _ in self.holders(identity, track_id)) or any(
            number != track_id and _waits(state, identity) for number, state in self._tracks.items()
        )


def _waits(state: TrackState, identity: str) -> bool:
    decision = state.decision
    candidate = decision.candidate if isinstance(decision, Uncertain) else None
    return candidate is not None and candidate.identity == identity
