"""Did two tracks swap people when they met? Crops of before and after are weighed apart.

Where boxes overlap the tracker may go on with the wrong person: by places alone, if there are no
looks to be had, or by one look that deceives. The looks of several crops decide: `straight` is how
alike each track is to itself before the meeting, `crossed` how alike to the other one. This needs
no gallery and no threshold, and so also tells strangers apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from edge_reid.agent.policy import MatchPolicy
from edge_reid.agent.track_state import EmbeddedCrop, TrackState, embeddings_of
from edge_reid.matching.fusion import mean_vector
from edge_reid.matching.threshold import threshold_for

SURE_GAIN = 0.2
"""So much more alike is enough before there are `min_crops` of both, in cosine similarity."""


SWITCH_RATE = 0.1
"""Nine in ten pairs of two people are less alike than looks of a track that is split, by the table
of the model: 0.22 for the default one. Measured with that on the demo clip's labels: three looks in
a row and the five before have, of one person, 0.45 and more (99 in 100 0.60); of two people half
have less than 0.09, nine in ten less than 0.29."""


class SwapOutcome(Enum):
    """What became of two tracks that met."""

    STRAIGHT = "straight"
    """Everybody went on under their own number, or nothing clear speaks against it."""
    CROSSED = "crossed"
    OPEN = "open"
    """More crops may tell."""


def outcome_of(
    one: TrackState, other: TrackState, policy: MatchPolicy, *, final: bool = False
) -> SwapOutcome:
    """What the crops since the meeting say of two tracks.

    Crops of one of them alone must be `min_crops`; if both were seen, fewer do where it is clear.
    `final` says that one of them has ended, so that no more comes of it.
    """
    seen = [state for state in (one, other) if state.fresh]
    both = one.fresh and other.fresh
    enough = bool(seen) and all(len(state.fresh) >= policy.rules.min_crops for state in seen)
    gain = _gain(one, other, policy.index.model_id) if both or enough else None
    least = policy.rules.min_margin if enough else SURE_GAIN
    if gain is not None and abs(gain) >= least:
        return SwapOutcome.CROSSED if gain > 0 else SwapOutcome.STRAIGHT
    return SwapOutcome.STRAIGHT if enough and (both or final) else SwapOutcome.OPEN


def _gain(one: TrackState, other: TrackState, model_id: str) -> float | None:
    """How much more alike they are crossed than straight, in the mean; None: cannot be compared."""
    straight = [
        likeness(state.crops, state.fresh, model_id)
        for state in (one, other)
        if state.crops and state.fresh
    ]
    crossed = [
        likeness(before.crops, after.fresh, model_id)
        for before, after in ((one, other), (other, one))
        if before.crops and after.fresh
    ]
    if not straight or not crossed:
        return None
    return sum(crossed) / len(crossed) - sum(straight) / len(straight)


def is_another_person(
    before: Sequence[EmbeddedCrop], after: Sequence[EmbeddedCrop], policy: MatchPolicy
) -> bool:
    """Whether a track has gone on with somebody else without meeting them: what it shows now and
    what it showed are no more alike than two people, by the model's own impostor similarities.
    """
    if not policy.thresholds.single:
        return False
    least = threshold_for(policy.thresholds.single, SWITCH_RATE, 1)
    return likeness(before, after, policy.index.model_id) < least


def likeness(before: Sequence[EmbeddedCrop], after: Sequence[EmbeddedCrop], model_id: str) -> float:
    """Cosine of the two means, weighted by quality; 0 where there is none, or it points nowhere."""
    if not before or not after:
        return 0.0
    a = mean_vector(embeddings_of(before), model_id)
    b = mean_vector(embeddings_of(after), model_id)
    return 0.0 if a is None or b is None else float(a @ b)
