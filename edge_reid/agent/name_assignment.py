"""Who has which name among the open tracks of a camera: nobody is in two places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge_reid.agent.track_state import TrackState
from edge_reid.core.types import Known, Uncertain, Unknown


class Names:
    """A view of the open cases by the names they have, or would have.

    Args:
        cases: all open cases by `track_id`; looked at anew with every question.
    """

    def __init__(self, cases: Mapping[int, TrackState]) -> None:
        self._cases = cases

    def holders(self, identity: str, track_id: int) -> Iterator[tuple[int, TrackState]]:
        """The tracks that are taken for somebody, but this one."""
        for number, case in self._cases.items():
            held = case.held
            if number != track_id and isinstance(held, Known) and held.identity == identity:
                yield number, case

    def is_elsewhere(self, decision: Known, track_id: int) -> bool:
        """Whether another track is taken for this identity and looks no less like it."""
        return any(
            isinstance(case.held, Known) and case.held.similarity >= decision.similarity
            for _, case in self.holders(decision.identity, track_id)
        )

    def waiting(self, held: Known | Unknown | None) -> set[int]:
        """Tracks that may have a name that another one leaves."""
        if not isinstance(held, Known):
            return set()
        return {number for number, case in self._cases.items() if _waits(case, held.identity)}

    def is_wanted(self, identity: str, track_id: int) -> bool:
        """Whether another track has this name too, or only lacks it because of this one."""
        return any(True for _ in self.holders(identity, track_id)) or any(
            number != track_id and _waits(case, identity) for number, case in self._cases.items()
        )


def _waits(case: TrackState, identity: str) -> bool:
    decision = case.decision
    candidate = decision.candidate if isinstance(decision, Uncertain) else None
    return candidate is not None and candidate.identity == identity
